"""The stand-in CDN accepts a form however the network splits it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kantata_client.sandbox.cdn import Files, _Upload

BOUNDARY = b"--B\r\n"


def form(files: Files) -> bytes:
    """An upload with the fields of the API's ticket, one of which has a character of three bytes."""
    _, ticket = files.ticket("attachments/1")
    ticket = {**ticket, "x-amz-server-side-encryption": "AES256"}
    fields = [(name.encode(), value.encode()) for name, value in ticket.items()]
    parts = [b'Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % field for field in fields]
    parts.append(b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\nhello\r\n')
    return BOUNDARY + BOUNDARY.join(parts) + b"--B--\r\n"


def test_an_upload_may_be_split_at_any_byte() -> None:
    files = Files(lambda: datetime(2026, 7, 1, tzinfo=UTC))
    body = form(files)
    assert not body.isascii()
    for cut in range(len(body) + 1):
        upload = _Upload("multipart/form-data; boundary=B", files)
        answers = [upload.take(piece) for piece in (body[:cut], body[cut:]) if piece]
        assert {*answers, upload.end()} == {(0, "")}, cut
        assert upload.blob().size == 5


@pytest.mark.parametrize("name", [b"key", b"utf8"])
def test_a_form_field_that_is_not_text_is_refused(name: bytes) -> None:
    files = Files(lambda: datetime(2026, 7, 1, tzinfo=UTC))
    part = b'Content-Disposition: form-data; name="%s"\r\n\r\n\xe2\r\n' % name
    upload = _Upload("multipart/form-data; boundary=B", files)
    assert upload.take(BOUNDARY + part + form(files)) == (400, "MalformedPOSTRequest")
