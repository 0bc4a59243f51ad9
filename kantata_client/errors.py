"""Everything that this package raises on purpose.

    KantataError
    ├── UsageError (also a ValueError)        the call is wrong; nothing was sent
    ├── APIError                              the service answered with an error
    │   ├── BadRequestError            400
    │   ├── AuthenticationError        401
    │   ├── PermissionDeniedError      403
    │   ├── NotFoundError              404
    │   ├── ValidationError            422
    │   ├── RateLimitedError           429
    │   └── ServerError                5xx
    ├── KantataConnectionError                no connection, or it broke
    │   └── KantataTimeoutError               no answer in time
    ├── UnknownOutcomeError                   a write that may or may not have happened
    ├── MalformedResponseError                an answer that is not what the API sends
    ├── OAuthError                            authorization failed
    └── NotIncludedError (also an AttributeError)   an association that the request did not include
"""
