"""Prose: the types, values, associations, limits and defaults that the contract states in its descriptions only.

Each family of phrases is a table here; for a new wording of the publisher, add a line. The tables read the published file's
sentences and our own in `openapi/specification.yaml`, and find the same facts in both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import attrs

from codegen.errors import CodegenError
from codegen.markup import plain
from codegen.nodes import AssociationNode
from codegen.schemas import objects_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from codegen.nodes import OperationNode, ParameterNode, Place

Json = dict[str, Any]


def _family(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(each, re.IGNORECASE) for each in patterns)


_DONE = r"(?:given|supplied|specified|provided|passed|sent|listed|requested|used|allowed|accepted|combined)"
_MANY = r"(?:one or more|one or several|multiple|several|any number of|many)"
_COMMAS = r"(?:csvs?|comm?a(?: \([`\"']?,[`\"']?\))?[-\s]*(?:sep[ae]rated|delimited|joined))"
_SPLIT = r"(?:sep[ae]rat|delimit|divid|split|join|combin|concatenat)\w*"

LISTS = _family(
    rf"\b{_COMMAS}\b",
    rf"\b{_SPLIT} (?:by|with|using) (?:a |an? `?,`? ?)?(?:commas?\b|[`\"']?,[`\"']?(?=\W|$))",
    rf"\b{_SPLIT} (?:them|(?:[\w-]+ ){{1,6}})(?:by|with|using) (?:a )?commas?\b",
    r"\bcommas? (?:between|to (?:separate|delimit))\b",
    r"\b(?:give|supply|specify|provide|pass|enter|send|name|list|accepts?|supports?|takes?|allows?|"
    rf"filter(?:s|ed)? (?:by|for|on)) {_MANY}\b",
    rf"\b{_MANY} (?:[\w-]+ ){{0,6}}(?:can|may|could) be {_DONE}\b",
    rf"\bmore than one (?:[\w-]+ ){{0,2}}(?:can|may|could) be {_DONE}\b",
    rf"\b{_MANY} values?\b",
    rf"\b(?:multiple|several) (?:are |is )?{_DONE}\b",
    rf"\bbe (?:passed|given|supplied|sent) {_MANY}\b",
    r"\b(?:takes?|accepts?|filters? (?:by|for|on)) a list of\b",
    rf"\brequest {_MANY}\b",
    r"\blist of (?:[\w-]+ ){0,4}ids\b",
)
"""A text parameter that takes several values, separated by commas."""
_OTHER_MARKS = (
    r"(?:pipes?|vertical bars?|(?:single )?spaces?|white ?space|tabs?|newlines?|line breaks?|slash(?:es)?|colons?|dots?|"
    r"hyphens?|dash(?:es)?|plus(?:es)?)"
)
NOT_LISTS = _family(
    rf"\b{_COMMAS} (?:values? )?files?\b",
    r"\bcollectionformat\b",
    rf"\b(?:two|three|both) {_COMMAS}\b",
    rf"\b{_COMMAS}[^.]*;[^.]*\b{_COMMAS}\b",
    r"\bsemi-?colons?\b|`;`",
    rf"(?<!comma or )(?<!comma/)\b{_OTHER_MARKS}(?: \([^()]*\))?[-\s](?:separated|delimited|joined)\b",
    rf"\b{_SPLIT} (?:by|with|using) (?:an? |the )?(?:{_OTHER_MARKS}|[`\"'][^\w,`\"'\s]{{1,2}}[`\"'])(?=\W|$)",
    r"\bmin(?:imum)?(?: and |, ?)max(?:imum)?\b",
)
"""The same words with another meaning: a file, a fixed number of values, a list of lists, or other marks than commas."""

_MORE = r"(?:more|longer|larger|greater)"
_MOST = (
    r"(?:up to(?: an? max(?:imum)?(?: of)?)?|at (?:the )?most|max(?:imum|imal|\.)?(?: of|:| is)?|(?:no|not) "
    r"(?:be )?(?:more|longer|larger) than|"
    r"(?:as )?many as|fewer than or equal to|less than or equal to|limit(?:ed|s)?(?: to| of| is|:)?|restricted to|capped at|"
    rf"(?:can ?not|can't|not) (?:contain|be|have|hold|include|list|name|take) {_MORE} than|"
    r"(?:can ?not|can't|may not|must not|should not|do not|don't|not)(?: to)? exceed(?:ing)?|only the first)"
)
_NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+)"
_LARGEST_OF = (
    r"\bmax(?:imum|\.)?(?: allowed| permitted)? ?(?:number|count|amount|length|size|quantity|limit|batch size|items|ids|"
    r"values|entries)?"
    r"(?: of [\w-]+(?: [\w-]+){0,7}?| allowed| permitted| per request)* ?(?:is|are|:|=|of) ?"
)
_REFUSED = (
    r"(?:refused|rejected|denied|ignored|fail\w*|errors?|invalid|(?:not|n't) (?:be )?(?:allowed|supported|accepted|"
    r"permitted|possible))"
)
MAXIMA = _family(
    rf"\b{_MOST} {_NUMBER}\b",
    rf"{_LARGEST_OF}{_NUMBER}\b",
    rf"\b{_NUMBER} (?:[\w-]+ ){{0,2}}?(?:at most|or fewer|or less|max(?:imum)?)\b",
    rf"\b{_NUMBER} (?:[\w-]+ ){{0,3}}?(?:is|are) (?:the (?:maximum|max|limit|most)\b|(?:allowed|accepted|permitted) "
    rf"at most)",
    rf"\bonly {_NUMBER} (?:[\w-]+ ){{0,3}}(?:is|are|may be|can be) {_DONE}",
    rf"\bmore than {_NUMBER}\b(?=[^.]*\b{_REFUSED}\b)",
    rf"\blimit (?:of|is|:) ?{_NUMBER}\b",
    rf"(?:<=|=<|\u2264|\u2a7d) ?{_NUMBER}\b",
)
"""The most values that a list takes."""
_OF_SOMETHING_ELSE = re.compile(
    r"(?:days?|minutes?|hours?|seconds?|weeks?|months?|years?|characters?|chars|letters|digits|[kmg]b|bytes|percent|%)",
    re.IGNORECASE,
)
_NOT_OBJECTS = re.compile(rf"{_OF_SOMETHING_ELSE.pattern}|requests?|calls?|times", re.IGNORECASE)

_NOUNS = (
    r"(?:value\(s\)|values?|options?|choices?|types?|status(?:es)?|formats?|(?:sort )?orders?|entries|inputs?|arguments?|"
    r"keys?|"
    r"filters?|settings?|fields|sorts|strings?|literals?|states?|names?)"
)
_PLURALS = r"(?:values|options|choices|types|statuses|formats|strings|orders)"
_FIT = r"(?:valid|allowed|possible|accepted|acceptable|supported|permitted|available|legal|known|recogni[sz]ed|expected)"
_OPEN = r"(?=[`\"'(\[{])"
VALUES = _family(
    rf"\b{_FIT} {_NOUNS}(?: \([^()]*\))?(?: (?:for|of) (?:(?:this|the) )?(?:`?\w+`?)(?: \w+)?)?(?: \([^()]*\))?"
    r"(?: (?:are|is|include|includes|can be))?(?: any)?(?: one of)?(?: the following)?\s*"
    r"(?:[=-]>|\u2192|[:=]|[\u2013\u2014-](?= ))?\s*",
    r"\b(?:can|may|must|should|could|has to|have to|needs to|will) (?:only )?be (?:set to )?(?:one|any|either)(?: of)?"
    rf"(?: the following| these)?(?: {_PLURALS})?\s*:?\s*",
    rf"\b(?:the )?following {_NOUNS} (?:are|is|can be) (?:{_FIT}|used)\s*:?\s*",
    rf"\b(?:the )?following are (?:the )?(?:{_FIT} )?{_NOUNS}\s*:?\s*",
    rf"\b(?:one|any) of(?: the| these)?(?: following| {_FIT})?(?: {_PLURALS})?\s*:?\s*",
    r"\b(?:options|values|choices|enum(?:erated|eration)?|one of)\s*(?:are|include)?\s*:\s*",
    rf"\b(?:can|may|must|should|could) (?:have|take)(?: one of)? (?:the|these)(?: following| {_FIT})? "
    rf"{_PLURALS}\s*:?\s*{_OPEN}",
    rf"\b{_FIT}\s*:\s*{_OPEN}",
    rf"\baccepts(?: only)?(?: the (?:values?|following))?\s*:?\s*{_OPEN}",
)
"""What stands before the values that a text may have."""
LOOSE_VALUES = _family(
    rf"\b(?:can|may|must|should|could) (?:only )?be (?:set to |in )?{_OPEN}",
    rf"\b(?:either|values (?:are|can be|include)|(?:options|choices) are|enumeration of|must (?:equal|match)|use|"
    rf"choose(?: from| between| one of)?|select|specify|supports|takes|"
    rf"accepts|set (?:(?:this|it) )?to)(?: (?:the )?(?:values?|options?))?\s*{_OPEN}",
)
"""The same, if several values follow and the sentence ends after them."""

_LISTED = r"(?P<values>`[^`\n]+`(?:\s*(?:[,;|/]|\bor\b|\band\b)\s*(?:(?:or|and) )?`[^`\n]+`)+)"
VALUES_BEFORE = tuple(
    re.compile(each, re.IGNORECASE)
    for each in (
        rf"(?:\bcurrently,? )?{_LISTED} (?:are|is) (?:the (?:only )?)?{_FIT}(?: {_NOUNS})?(?=\s*(?:[.;,)]|$))",
        rf"(?:\A\s*|(?<=\n\n)|(?<=[.!?] )){_LISTED}\s*(?:\.(?=\s|\Z)|(?=\n)|\Z)",
    )
)
"""Values before the phrase, or alone in a sentence."""

_NAME = r"[`\"']?(\w+)[`\"']?"
_CODE = r"[`\"'](\w+)[`\"']"
_INCLUDED = r"(?:included|requested|sideloaded|loaded|specified|asked for|named|given|listed)"
BOUND = _family(
    rf"`?include`? names {_CODE}",
    rf"\b(?:if|when|unless) {_NAME} is (?:in|on|part of|one of|among) the (?:list of )?"
    r"(?:included|requested|sideloaded) associations",
    rf"\b(?:when|if|once|unless) (?:the )?(?:association )?{_CODE}(?: association)? (?:is|was|has been|gets) {_INCLUDED}",
    rf"\b(?:when|if) (?:the )?(?:`?include=?`? )?(?:list |parameter |param )?(?:has|contains|includes|names|lists) "
    rf"(?:the )?{_CODE}",
    r"`?include=(\w+)\b",
    rf"\b(?:when|if) (?:you )?(?:include|including|requesting|request)(?: the)? {_CODE}",
    rf"\b(?:needs|requires) (?:the )?{_CODE} (?:association )?(?:to be )?included\b",
    rf"{_CODE} (?:association )?(?:being|having been|to be) {_INCLUDED}",
    rf"\b(?:if|when|unless) the (\w+) association (?:is|was|has been) {_INCLUDED}",
)
"""A field that the service sends only when an association is included."""
OPTIONAL = _family(r"\boptional[-_ ]fields?\b")
"""A field that the service sends only when `optional_fields` names it."""

_ASKED = (
    r"(?:it (?:is|was|has been) )?(?:explicitly |specifically |individually )?(?:requested|asked for)\b(?! by (?:an?|"
    r"the|your)\b)"
)
REQUESTED = _family(
    rf"\bonly (?:\w+ ){{0,3}}?(?:if|when|once) {_ASKED}",
    rf"\b(?:returned|sent|included|present|given|shown) only (?:if|when|once) {_ASKED}",
    r"\bonly (?:\w+ ){0,2}on request\b|\bon request only\b",
    rf"(?:\bnot|n't|\bnever) (?:be )?(?:included|returned|sent|present|given|shown)(?: \w+){{0,3}}? unless {_ASKED}",
    rf"\b(?:must|has to|have to|needs to) be {_ASKED}",
)
"""The same, if the sentence doesn't mention an association."""

_OBJECTS = r"(?:[\w-]+ ){0,6}"
_TOGETHER = (
    r"(?:at once|at a time|at the same time|together|in bulk|per (?:\w+ )?(?:request|call|batch)|"
    r"(?:in|with|per) (?:one|a|a single|each|every|the same) (?:\w+ )?(?:request|call|go|batch))"
)
_WRITTEN = r"(?:creat|updat|upsert|delet|sen[dt]|submitt|add|import|insert|sav|remov|suppl|pass|provid|process|post)\w*"
_NOT_ANSWERS = r"(?!return|retriev|fetch|get|answer|respon|list|show|load|yield)"
_REQUEST = r"(?:request body|request|call|body|payload|array)"
BULK = _family(
    rf"\b(?:bulk|batch)(?:es)?(?:[- ][\w-]+){{0,7}} ?[(:,]? ?{_MOST} {_NUMBER}\b",
    rf"\bbulk[- ](?:creat|updat|upsert|delet|edit)\w*(?: (?:or|and) \w+)?(?: of)?:? {_NUMBER}\b",
    rf"\b(?:bulk|batch) (?:request )?(?:limit|size|maximum)(?: is| of|:| -)? {_NUMBER}\b",
    rf"\b{_MOST} {_NUMBER} {_OBJECTS}(?:can|may) be (?:bulk )?{_WRITTEN}",
    rf"\b(?:{_WRITTEN}|takes?|accepts?|supports?|allows?) (?:{_MOST} )?{_NUMBER} {_OBJECTS}{_TOGETHER}",
    rf"\b{_MOST} {_NUMBER} {_OBJECTS}{_TOGETHER}",
    rf"\b{_MANY} (?:[\w-]+ ){{1,4}}(?:\([^()\d]*{_MOST} {_NUMBER}\) )(?:can|may) be {_WRITTEN}",
    rf"\b(?:can|may) be {_WRITTEN} {_TOGETHER}[,;:]?(?: \w+){{0,4}}? \(?(?:{_MOST}|{_LARGEST_OF}) ?{_NUMBER}\b",
    rf"\barrays? of (?:{_MOST} )?{_NUMBER}\b",
    rf"\brequests? (?:are|is) limited to {_NUMBER} ",
    rf"\b{_TOGETHER} (?:is|are) {_MOST} {_NUMBER}\b",
    rf"{_LARGEST_OF}{_NUMBER} {_OBJECTS}{_TOGETHER}",
    rf"\b(?:each|every|a|an|one|the|per)(?: single)?(?: bulk)? {_REQUEST}(?: {_NOT_ANSWERS}\w+){{0,4}}? {_MOST} {_NUMBER}\b",
    rf"\b{_TOGETHER}[,;:]? \(?{_MOST} {_NUMBER}\b",
    rf"\blimit (?:per|for) (?:\w+ )?(?:requests?|calls?|batch(?:es)?|bulk \w+|creation)(?: is|:)? {_NUMBER}\b",
    rf"\barrays? (?:of [\w-]+(?: \w+)? )?\(?{_MOST} {_NUMBER}\b",
    rf"\b{_MOST} {_NUMBER} {_OBJECTS}(?:in|as|with) an array\b",
    rf"\b{_MOST} {_NUMBER} {_OBJECTS}(?:under|in|below) (?:the|its) plural\b",
    rf"\bdelet(?:es?|ing) {_MOST} {_NUMBER} (?:ids|{_OBJECTS})",
    rf"\bmore than {_NUMBER} {_OBJECTS}{_TOGETHER}",
    rf"\b{_NUMBER} {_OBJECTS}(?:can|may) be {_WRITTEN} {_TOGETHER}",
    rf"\bmax(?:imum)? (?:number|count) of {_OBJECTS}{_TOGETHER} (?:is|:) ?{_NUMBER}\b",
    rf"(?:<=|=<|\u2264|\u2a7d) ?{_NUMBER} {_OBJECTS}{_TOGETHER}",
    rf"\bbulk (?:[\w-]+ ){{1,3}}{_NUMBER} {_OBJECTS}at (?:the )?most\b",
    rf"\b{_WRITTEN} {_MANY} (?:[\w-]+ ){{0,2}}\({_MOST} {_NUMBER}\)",
)
"""The most objects in one request."""
_OWN = (
    r"(?:own|separate(?:ly)?|dedicated|individual(?:ly)?|specific(?:ally)?|strict(?:er)?|lower|custom|additional|special|"
    r"unique|"
    r"different|differs?|independent(?:ly)?|another|extra|further|distinct|endpoint-specific|tighter)"
)
_RATES = r"(?:rate[- ]limit\w*|throttl\w+|limits? (?:on|of|for) the request rate|request limits?)"
RATE = _family(
    rf"\b{_OWN}(?: \w+){{0,2}} {_RATES}",
    rf"\b{_RATES}(?:[ :*]+[\w-]+){{0,8}} {_OWN}\b",
    r"\b(?:in addition to|besides|on top of|apart from|as well as) the (?:general|usual|global|overall|account's) "
    r"(?:rate[- ])?limits?\b",
    r"\b(?:this|the) (?:endpoint|route|operation|request|call|action|method) is (?:also )?rate[- ]limited\b",
    r"\b(?:to|for|on) this (?:endpoint|route|operation|request|call) (?:is|are) (?:also )?rate[- ]limited\b",
    r"\brate[- ]limit(?:s|ing)? (?:also )?appl(?:y|ies) to this\b",
    rf"\brequests?\b[^.]*\b{_OWN} limits?\b",
    rf"\b{_OWN} limits? (?:on|of|for) (?:requests|calls|the request rate)\b",
    rf"\b{_RATES}[^.]*\b(?:has|have) (?:one|limits?) of its own\b|\bof its own\b[^.]*\b{_RATES}",
)
"""An operation with a rate limit of its own."""
NO_RATE = _family(
    rf"\b(?:no|not (?:have|subject to)|without|never) (?:(?:an?|any|its) )?(?:{_OWN} )?(?:rate[- ]limit|throttl)"
)
"""The same words with the opposite meaning."""
_VALUE = r"[`\"']?(true|false|\d+|\w+(?::\w+)?)[`\"']?"
_GIVEN = r"(?:given|specified|provided|set|present|sent|supplied|passed)"
_OMITTED = rf"(?:omitted|absent|left out|unset|not {_GIVEN})"
_ABSENT = rf"(?:{_OMITTED}|missing|left blank|blank|empty)"
_NO = (
    r"(?:(?:it|this|that|the value) (?:is|was) |(?:it |this )?(?:isn't|wasn't) (?=given|spec|prov|set|pres|sent|supp|"
    r"pass)|it's )?"
)
_ENDS = (
    rf"(?=\s*(?:[.,;)\]]|$|(?:if|when) (?:{_NO}{_ABSENT}|{_NO}{_GIVEN}|you (?:leave|omit|do|don't))|unless (?:it is "
    rf")?{_GIVEN}|"
    r"is (?:used|assumed|applied|the default)))"
)
DEFAULTS = _family(
    rf"\bdefault(?:s to| to| is| value is|:| =| value:| value =| -)? \(?{_VALUE}{_ENDS}",
    rf"\bby default,? (?:(?:it|this|the value) )?(?:is )?(?:set to )?[`\"']?(true|false|\d+|\w+:\w+)[`\"']?{_ENDS}",
    rf"\bby default,? (?:(?:it|this|the value) )?(?:is )?(?:set to )?[`\"'](\w+)[`\"']{_ENDS}",
    r"[`\"'](\w+(?::\w+)?)[`\"'] (?:\((?:the )?default\)|by default|is (?:the )?default)",
    r"\b(true|false|\d+) (?:\((?:the )?default\)|by default|is (?:the )?default)",
    rf"\b(?:(?:when|if) {_NO}(?:{_ABSENT}|(?<=n't ){_GIVEN})|without it|unless (?:it is )?{_GIVEN}),? "
    rf"(?:it is |this is |the default is |it's )?{_VALUE}(?: is (?:used|assumed|applied|the default))?{_ENDS}",
    rf"\b(?:(?:assumed|taken|considered) to be|treated as|considered|regarded as) {_VALUE}{_ENDS}",
    rf"(?:^|[.;,(] ?)[`\"']?(true|false|\d+)[`\"']? (?:if|when) {_NO}{_OMITTED}(?=\s*(?:[.,;)]|$))",
    rf"(?:^|[.;,(] ?)[`\"']?(true|false|\d+)[`\"']? unless (?:it is )?{_GIVEN}",
    r"(?:^|[.;,(] ?)[`\"']?(true|false|\d+)[`\"']? is assumed\b",
)
"""What the service assumes when a parameter is not sent."""
DEPRECATED = _family(
    r"^\W*deprecated\b",
    r"(?:^|[.!?:;\n(\[>@]|\u26a0)\s*deprecated\b(?=\s*(?:$|[.,;:!)\]\n\u2013\u2014-]|since|in favou?r|as of|and|use|by|"
    r"from|with|please|now|instead|after|because|will|API)\b|\s*(?:$|[.,;:!)\]\n\u2013\u2014-]))",
    r"\bdeprecated\s*[.:;!)\]]",
    r"\b(?:is|are|has been|have been|was|now) (?:now |officially |being )?deprecated\b",
    r"\(deprecated\b|\bdeprecated \(",
    r"\bis a deprecated (?:\w+ )?(?:field|filter|parameter|param|attribute|property|option|endpoint|route|operation|"
    r"value)\b",
    r"\bdeprecation (?:notice|warning)\b",
)
TIMES = _family(r"time ?stamp")
"""A range of times, and not of dates."""

_CLASS = r"(?:[A-Z]\w*(?:::\w+)*|polymorphic)"
_AFTER = (
    rf"`?(?:(?:an?|array|list|collection|of|one|either)\s+)*`?{_CLASS}`?(?:\s*(?:\||/|,|\bor\b|"
    rf"\band\b)\s*`?{_CLASS}`?)*"
)
"""One or more types after a colon or a dash."""
_ASSOCIATION = re.compile(
    r"^\s*[-*•+]\s+[`\"']?(?P<name>\w+)[`\"']?\s*"
    r"(?:\(\s*(?P<type>[^()\n]+?)\s*\)|\[\s*(?P<inside>[^()\[\]\n]+?)\s*\]"
    rf"|(?:[:=\u2013\u2014\u2192-]|[-=]>)\s*(?P<after>{_AFTER})(?:\s+(?:objects?|records?))?(?=\s*(?:[-.,;(\u2013\u2014]|$))"
    rf"|[:=\u2013\u2014-]\s+(?P<before>[^()\n]+?)\s*\(\s*(?P<late>{_AFTER})\s*\)(?=\.?\s*$))"
    r"\s*(?P<text>.*)$",
    re.DOTALL,
)
_WAY_OUT = (
    '"- `name` (Type). Text" in overrides/overlay.yaml or in the published file (or teach codegen/prose.py)'
)
_BULLET = re.compile(r"^\s*[-*•+]\s+")
_UNMARKED = re.compile(
    rf"\s*[`\"']?[a-z]\w*[`\"']?\s*(?:\(\s*(?:one of:?\s+|array of\s+|list of\s+|an?\s+)?`?{_CLASS}\b[^()]*\)|"
    rf"[:\u2013\u2014-]\s*(?:an?\s+)?`?{_CLASS}`?\s*(?:[-.,;(\u2013\u2014]|$))"
)
"""An association without a bullet before it."""
_BEGUN = re.compile(r"[`\"']?\w+[`\"']?\s*(?:[:(\[\u2013\u2014-])")
"""What looks like one, and can't be read."""
_UNFINISHED = re.compile(r"[)\]]\W+\w.*[^.!?:]$", re.DOTALL)
"""An association whose text goes on in the next line."""
_REMARK = re.compile(r"[A-Z][\w'-]*(?:[ ,;]+[\w'-]+){3,}\.")
"""A sentence after the list that can't be an association."""
_WITHIN = re.compile(r"`\w+`\s*\(\s*`?(?:[A-Z][\w:]*|polymorphic)\b[^()]*\)")
"""An association in a sentence."""
_NOT_TYPES = re.compile(
    r"(?i:optional|nullable|required|may be \w+|can be \w+|array|list|type|the|of|single|one|many|either|any|has|belongs|"
    r"collection|object|model|class|to)|an?"
)
_IDS = re.compile(r"_(?:ids?|ref)$")
"""The end of the name of a field with ids, which no envelope key has."""
_TOP = r"(?:top[- ]level|json|envelope|response)"
KEYS = _family(
    rf"\b(?:in|under|at|by|into) (?:the )?{_CODE}(?: {_TOP})* (?:key|map|object|collection|hash)\b",
    rf"\b(?:in|under|at|by|into) (?:the )?(?!the\b){_NAME}(?: {_TOP})+ (?:key|map|object|collection|hash)\b",
    rf"\b{_TOP} {_CODE} (?:key|map|object|collection|hash)\b",
    rf"\b(?:top[- ]level|envelope|response) (?:json )?(?:key|map|object|hash) ?(?:is |named |called |: ?)?{_CODE}",
    rf"{_CODE} {_TOP} (?:key|map|object|collection|hash)\b",
    rf"\b(?:in|under|at|by|into) (?:the )?{_CODE} section\b",
    rf"\b(?:objects?|records?|they|these|ones) (?:will be|are|come|go) (?:back )?(?:in|under|into) (?:the )?{_CODE}",
    rf"\b(?:sideloaded|returned|listed|included) as (?:the )?{_CODE}",
    rf"\b(?:keyed by|json key:?|key of the (?:objects|records) is|(?:have|has|with) the key) (?:the )?{_CODE}",
    rf"\bpart of (?:the )?{_CODE} in the (?:response|envelope)\b",
    rf"\b(?:found|returned|listed|sideloaded|included|available|keyed|placed|stored|appear\w*|present|located|sent|nested) "
    rf"(?:under|in|at|into|below) (?:the )?{_CODE}",
)
"""The envelope key of an association's objects."""
FIELDS = _family(
    rf"\b(?:referenced|referred to|identified|linked|named) (?:by|in|through|via) (?:the )?(?:field )?{_CODE}",
    r"\b(?:through|via|by way of) (?:the )?`(\w+_(?:ids?|ref))`",
    r"\b(?:foreign keys?|fields?|ids?)(?: is| are|:)? (?:in )?`(\w+_(?:ids?|ref))`",
    rf"\bforeign key(?: is|:)? (?:in )?{_CODE}",
    r"\bids?(?: of \w+(?: \w+)?)? (?:is|are) (?:given |listed |found |held |sent |kept )?(?:in|by|under) (?:the )?"
    rf"(?:field )?{_CODE}",
    rf"{_CODE} (?:field|attribute|property|column)\b",
    rf"\bfields? {_CODE}",
    rf"(?:^|[.;,(-]\s*)(?:via|through) (?:the )?{_CODE}",
    rf"\b(?:use|see|compare|match) (?:the )?{_CODE} to (?:look|find|match|identify|join)",
    r"^\W*`(\w+_(?:ids?|ref))`(?=\W|$)",
    rf"{_CODE} (?:holds|has|contains|lists|stores|gives) (?:the|its|their) ids?\b",
    r"`(\w+_(?:ids?|ref))` (?:holds|has|contains|names|lists|refers|points|identifies|references)\b",
    r"\b(?:reference is|points? to (?:it|them) (?:with|by)|look (?:(?:it|them) )?up (?:by|with|in)?|joined (?:on|by)|"
    r"found by|matche[sd]|from|"
    r"by|with) (?:the )?(?:ids? )?(?:in )?`(\w+_(?:ids?|ref))`",
)
"""The field that holds the ids of an association."""


# --- reading text --------------------------------------------------------------------------------------------------


def says(family: Iterable[re.Pattern[str]], text: str) -> bool:
    """Whether a text has a phrase of a family."""
    return any(each.search(text) for each in family)


def captured(family: Iterable[re.Pattern[str]], text: str) -> str | None:
    """The captured group of the first phrase of a family in a text."""
    return next(_every(family, text), None)


def _every(family: Iterable[re.Pattern[str]], text: str) -> Iterator[str]:
    """The captured groups of all phrases of a family, in the order of the text."""
    found = [match for each in family for match in each.finditer(text)]
    for match in sorted(found, key=lambda match: match.start()):
        yield next(group for group in match.groups() if group is not None)


def is_list(name: str, text: str) -> bool:
    """Whether a text parameter takes several values, separated by commas."""
    if name in ("only", "ids") or name.endswith("_ids"):
        return True
    flat = " ".join(text.split())
    return says(LISTS, flat) and not says(NOT_LISTS, flat)


def most(text: str) -> int | None:
    """The most values that a list takes."""
    return _limit(MAXIMA, text, _OF_SOMETHING_ELSE)


def bulk_limit(text: str) -> int | None:
    """The most objects in one request, as an operation's description says it."""
    return _limit(BULK, text, _NOT_OBJECTS)


def _limit(family: Iterable[re.Pattern[str]], text: str, others: re.Pattern[str]) -> int | None:
    flat = _with_digits(" ".join(text.split()))
    for each in family:
        for match in each.finditer(flat):
            number = next(place for place, group in enumerate(match.groups(), 1) if group)
            if not others.match(flat[match.end(number) :].lstrip()):
                return int(match[number].replace(",", ""))
    return None


_HUNDREDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _with_digits(text: str) -> str:
    """The text with numbers out of backticks, and in digits: `two hundred` as `200`."""
    text = re.sub(r"`(\d[\d,]*)`", r"\1", text)
    for number, word in enumerate(_HUNDREDS, 1):
        text = re.sub(rf"\b{word}[- ]hundred\b", str(number * 100), text, flags=re.IGNORECASE)
    return re.sub(
        r"\b(?:a|one) thousand\b", "1000", re.sub(r"\ba hundred\b", "100", re.sub(r"\bfifty\b", "50", text))
    )


def has_own_rate_limit(text: str) -> bool:
    """Whether an operation's description says that it has a rate limit of its own."""
    flat = " ".join(text.split())
    return any(says(RATE, each) and not says(NO_RATE, each) for each in re.split(r"(?<=[.!?])\s+", flat))


def default_of(kind: str | None, values: Iterable[str], text: str) -> str | int | bool | None:
    """What the service assumes, if the text says so in a value of that kind."""
    known = list(values)
    for found in _every(DEFAULTS, " ".join(text.split())):
        if kind == "boolean" and found.lower() in ("true", "false"):
            return found.lower() == "true"
        if kind == "integer" and found.isdecimal():
            return int(found)
        if found in known:
            return found
    return None


# --- values --------------------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_AFTER_ITEM = re.compile(r"\s*\([^()]*\)")
_EXPLANATION = re.compile(
    r"[ \t]*(?:[-\u2013\u2014:=]|means)[ \t]+(?:[^\n`]*(?=\n|$)|[^\n`.]*?(?=[,;][ \t]*(?:(?:and|or)[ \t]+)?`))"
)
"""What a value means: up to the end of the line, or up to the next value."""
_SEPARATOR = re.compile(
    r"\s*(?:[,;|/]|\n\s*[-*•+](?=\s)|\n\s*(?=[`\"'])|\n[ \t]*(?=\w)|\b(?:or|and) (?:to|the|just|also|even)\b(?=\s*[`\"'])|"
    r"\b(?:or|and|as well as)\b|&|(?<=`)[ \t]+(?=`))\s*",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(r"[ \t]*(?:[-\u2013\u2014:=]|means)[ \t]+")
_UP_TO_NEXT = r"(?:\n(?![ \t]*(?:[-*•+][ \t]|\n))[^\n]+)+(?=\n[ \t]*[-*•+][ \t])"
"""Lines without a bullet before one that has it."""
_OWN_LINE = re.compile(r"(?:^|\n)([ \t]*)[-*•+][ \t]+\Z")
_START = re.compile(r"\s*(?:[-*•+]\s+)?[(\[{]?\s*")
_STOP = re.compile(r"\s*[)\]}]?\s*(?:[.;]|$|\n)")
_BARE_STOP = re.compile(r"[ \t]*(?:[.;(\n]|$)")
_BARE = re.compile(r"[A-Za-z_]\w*(?:[+:/]+\w+)*(?:-\w+)*(?: [A-Z]\w*){0,3}")


def values_in(text: str) -> tuple[tuple[str, ...], str]:
    """(values, the text without them) that a description lists for a text.

    Values are in backticks or quotes, or bare words, after one of the phrases in `VALUES`, with commas between or one a
    line.
    """
    for family in (*VALUES, *LOOSE_VALUES):
        for match in family.finditer(text):
            for read in (_quoted_values, _bare_values):
                values, end = read(text, match.end())
                if not values or (family in LOOSE_VALUES and (len(values) < 2 or not _STOP.match(text, end))):
                    continue
                rest = text[: match.start()].rstrip() + " " + text[end:].lstrip(")]}. \n")
                return values, rest.strip()
    for pattern in VALUES_BEFORE:
        for match in pattern.finditer(text):
            values, end = _quoted_values(text, match.start("values"))
            if len(values) > 1 and end >= match.end("values"):
                return values, f"{text[: match.start()].rstrip()} {text[match.end() :].lstrip('. ')}".strip()
    return (), text


def _separators(text: str, at: int) -> tuple[int, bool]:
    """(place of the next item, whether there was something between)."""
    start = at
    while (match := _SEPARATOR.match(text, at)) and match.end() > at:
        at = match.end()
    return at, at > start


def _quoted_values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    found: list[str] = []
    start = _START.match(text, at)
    at = end = start.end() if start else at
    while match := _QUOTED.match(text, at):
        if found and _after_list(text, end, at):
            break
        found.append(next(group for group in match.groups() if group is not None))
        end = match.end()
        at, more = _separators(text, _explained(text, match))
        if not more:
            break
    else:
        end = at
    if len(found) == 1 and not _STOP.match(text, end) and not _STOP.match(text, at):
        return (), 0  # the list goes on in a way that can't be read
    return tuple(dict.fromkeys(found)), end if found else 0


def _explained(text: str, item: re.Match[str]) -> int:
    """The end of what is said of a value; of a list item, that is all of its lines."""
    at = item.end()
    if after := _AFTER_ITEM.match(text, at):
        at = after.end()
    explanation = _EXPLANATION.match(text, at)
    if bullet := _OWN_LINE.search(text, 0, item.start()):
        inside = rf"(?:\n[ \t]{{{len(bullet[1]) + 1},}}(?![-*•+][ \t])\S[^\n]*)*"
        begun = explanation or _EXPLAINS.match(text, at)
        whole = re.compile(rf"[^\n]*(?:{_UP_TO_NEXT}|{inside})" if begun else inside).match(text, at)
        return whole.end() if whole else at
    return explanation.end() if explanation else at


def _after_list(text: str, end: int, at: int) -> bool:
    """Whether what follows a list with bullets has none."""
    listed = re.search(r"(?:^|\n)[ \t]*[-*•+][ \t][^\n]*\Z", text[:end])
    return listed is not None and "\n" in text[end:at] and not _OWN_LINE.search(text, 0, at)


def _bare_values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    found: list[str] = []
    start = _START.match(text, at)
    at = end = start.end() if start else at
    while match := _BARE.match(text, at):
        if found and _after_list(text, end, at):
            break
        after = _explained(text, match)
        following, more = _separators(text, after)
        if not more and not _BARE_STOP.match(text, after):
            if "\n" in text[end:at] and len(found) > 1:
                break  # a sentence after the list
            return (), 0
        found.append(match[0])
        at, end = following, after
        if not more:
            break
    articles = ("the", "a", "an", "these", "those", "your", "our", "this", "its")
    lone = len(found) < 2 or found[0].lower() in articles
    return ((), 0) if lone or not _BARE_STOP.match(text, end) else (tuple(dict.fromkeys(found)), end)


def read_values(schema: Json, prose: str) -> str:
    """Make an `enum` of the values that prose lists for a text; the prose without them."""
    text = schema["items"] if schema.get("type") == "array" else schema
    if text.get("type") != "string" or "enum" in text or "format" in text:
        return prose
    values, rest = values_in(plain(prose))
    if not values:
        return prose
    text["enum"] = list(values)
    return rest


def read_values_inside(schema: Json) -> None:
    """The same for every property of a body, in place."""
    for value in schema.get("properties", {}).values():
        if value.get("description"):
            value["description"] = read_values(value, value["description"])
        for inner in objects_in(value):
            read_values_inside(inner)


# --- parameters ----------------------------------------------------------------------------------------------------


def read_parameters(node: OperationNode) -> OperationNode:
    """The operation with the types of its query parameters and the associations that the prose gives them.

    Raises:
        CodegenError: A line of `include` does not describe an association.
    """
    associations: tuple[AssociationNode, ...] = ()
    parameters: list[ParameterNode] = []
    for parameter in node.parameters:
        if parameter.location != "query":
            parameters.append(parameter)
        elif parameter.name == "include":
            associations = read_associations(node.id, parameter.description, parameter.place)
            listed = _formal_values(parameter.schema) or tuple(each.name for each in associations)
            associations = _listed(node, parameter, associations, listed)
            schema = {"type": "array", "items": {"type": "string", "enum": list(listed)}}
            parameters.append(attrs.evolve(parameter, schema=schema, description=""))
        else:
            parameters.append(_read_parameter(parameter))
    return attrs.evolve(node, parameters=tuple(parameters), associations=associations)


def _formal_values(schema: Json) -> tuple[str, ...]:
    holder: Json = schema["items"] if isinstance(schema.get("items"), dict) else schema
    return tuple(holder.get("enum", ()))


def _listed(
    node: OperationNode,
    parameter: ParameterNode,
    described: tuple[AssociationNode, ...],
    listed: tuple[str, ...],
) -> tuple[AssociationNode, ...]:
    """The associations that the parameter takes, those without a description of unknown type."""
    if not listed:
        msg = f'{node.id}: no association is listed for `include`: list them in its description, as "- `name` (Type)"'
        raise CodegenError(msg, parameter.place)
    known = {each.name: each for each in described}
    return tuple(
        known.get(name, AssociationNode(name, "", None, None, "", parameter.place)) for name in listed
    )


def _read_parameter(parameter: ParameterNode) -> ParameterNode:
    schema: Json = dict(parameter.schema)
    if isinstance(schema.get("items"), dict):
        schema["items"] = dict(schema["items"])
    prose = plain(parameter.description)
    rest = read_values(schema, prose)
    if schema.get("type") == "string" and "format" not in schema and is_list(parameter.name, rest or prose):
        schema = {"type": "array", "items": schema}
    if schema.get("type") == "array" and "maxItems" not in schema and (limit := most(rest)):
        schema["maxItems"] = limit
    default = parameter.default
    if default is None:
        item = schema["items"] if schema.get("type") == "array" else schema
        default = default_of(item.get("type"), item.get("enum", ()), prose)
    deprecated = parameter.deprecated or says(DEPRECATED, prose)
    return attrs.evolve(parameter, schema=schema, description=rest, default=default, deprecated=deprecated)


# --- associations --------------------------------------------------------------------------------------------------


def read_associations(where: str, prose: str, place: Place) -> tuple[AssociationNode, ...]:
    """The associations that the description of an `include` parameter lists, one a line.

    Raises:
        CodegenError: A line after the first association does not describe one.
    """
    entries: list[str] = []
    apart = False
    lines = plain(prose).split("\n")
    marked = any(map(_BULLET.match, lines))
    for line in lines:
        if _BULLET.match(line):
            entries += _apart(line)
        elif (entries or not marked) and _UNMARKED.match(line):
            entries += _apart(f"- {line.strip()}")
        elif entries and line.strip() and (line[0] in " \t" or (not apart and _goes_on(entries[-1], line))):
            entries[-1] += " " + line.strip()
        elif entries and line.strip() and not (apart and _REMARK.fullmatch(line.strip())):
            msg = (
                f"{where}: line {line.strip()!r} of the include parameter does not describe an association: write it as "
                f"{_WAY_OUT}, or remove it"
            )
            raise CodegenError(msg, place)
        apart = not line.strip()
    if not entries:
        entries = _in_sentences(plain(prose))
    return tuple(_association(where, each, place) for each in entries)


def _goes_on(entry: str, line: str) -> bool:
    """Whether the text of an association goes on in the next line, up to a full stop."""
    if says((*KEYS, *FIELDS), line):
        return True
    return bool(_UNFINISHED.search(entry)) and line.rstrip().endswith((".", "!")) and not _BEGUN.match(line)


def _apart(line: str) -> list[str]:
    """The associations of one line: several if only commas or other separators are between them."""
    between = _WITHIN.sub("", _BULLET.sub("", line))
    several = len(_WITHIN.findall(line)) > 1 and re.fullmatch(r"(?:[\s,;&|/.]|and|or)*", between)
    return _in_sentences(line) if several else [line]


def _in_sentences(text: str) -> list[str]:
    """Associations that a text lists one after the other, as lines."""
    starts = [match.start() for match in _WITHIN.finditer(text)]
    ends = [*starts[1:], len(text)] if starts else []
    return [f"- {text[start:end].strip(' ,;')}" for start, end in zip(starts, ends, strict=True)]


def _association(where: str, line: str, place: Place) -> AssociationNode:
    entry = _ASSOCIATION.match(line)
    kinds = _types(next(filter(None, entry.group("type", "inside", "after", "late")))) if entry else []
    if entry is None or not kinds:
        msg = f"{where}: association {line!r} can't be read: write it as {_WAY_OUT}"
        raise CodegenError(msg, place)
    text = f"{entry['before'] or ''} {entry['text']}".strip().lstrip(".-\u2013\u2014:;, ").strip()
    notes = [
        part.strip(" .;,")
        for part in re.split(r"(?<=[.!?])\s+(?=[A-Z`])|;\s*|,\s*(?=found under)", text)
        if part.strip(" .;,") and not says((*KEYS, *FIELDS), part)
    ]
    return AssociationNode(
        name=entry["name"],
        type=kinds[0] if len(kinds) == 1 else "polymorphic",
        field=captured(FIELDS, text),
        key=_key(text),
        note="; ".join(notes),
        place=place,
    )


def _key(text: str) -> str | None:
    """The envelope key that the text of an association names, and not the field with its ids."""
    for each in FIELDS:
        text = each.sub("", text)
    return next((each for each in _every(KEYS, text) if not _IDS.search(each)), None)


def _types(text: str) -> list[str]:
    """The definitions that the type of an association names; `polymorphic` for any."""
    if re.search(r"\bpolymorphic\b", text, re.IGNORECASE):
        return ["polymorphic"]
    found: list[str] = []
    for part in re.split(r"\s*(?:[,;|/<>\[\]]|:\s|\bor\b|\band\b)\s*", text):
        words = part.replace("`", "").split()
        while words and (_NOT_TYPES.fullmatch(words[0]) or (words[0] in ("A", "An") and len(words) > 1)):
            words = words[1:]
        if words and not _NOT_TYPES.fullmatch(" ".join(words)):
            titled = all(re.fullmatch(r"[A-Z][a-z]+", each) for each in words)
            found.append("".join(words) if titled else words[-1].replace(".", "::"))
    classes = [each for each in found if each[0].isupper()]
    return list(dict.fromkeys(classes or found))


# --- fields of models ---------------------------------------------------------------------------------------------

_ON_CONDITION = re.compile(
    r"\b(?:only|present|unless|when|if|require[sd]?|needs?|needed|must|to (?:get|receive|see|obtain)|receive|with|via|"
    r"through|add|request(?:ed)?|provided|use)\b",
    re.IGNORECASE,
)
_INCLUDING = re.compile(
    r"\b(?:include[sd]?|including|inclusion|associations?|side-?load\w*)\b", re.IGNORECASE
)
_NAMED = re.compile(r"[`\"'](\w+)[`\"']")


def sent_on_request(
    prose: str, fields: Collection[str]
) -> tuple[Literal["include", "optional_fields"], str] | None:
    """The query parameter that has to name something for a field to be sent, and the association it has to name.

    Args:
        prose: The description of the field.
        fields: The names of all fields of its model; none of them is an association.

    Returns:
        The parameter and the association (empty for `optional_fields`, which takes the field's own name); `None` for a
        field that is always sent.
    """
    for sentence in re.split(r"(?<=[.!?])\s+", " ".join(values_in(plain(prose))[1].split())):
        if says(OPTIONAL, sentence):
            return "optional_fields", ""
        if (bound := captured(BOUND, sentence)) and bound not in ("include", *fields):
            return "include", bound
        if _ON_CONDITION.search(sentence) and _INCLUDING.search(sentence):
            named = [name for name in _NAMED.findall(sentence) if name != "include" and name not in fields]
            if named:
                return "include", named[-1]
        if says(REQUESTED, sentence):
            return "optional_fields", ""
    return None
