"""Find the topics in a refusal's words, in the languages of servers all over the world. Pure.

Words refine a status: see `mailsluice.bounces.kinds`. Addresses, links and names of machines do not
count as words: a server whose name is spamfilter.example.org does not call the mail spam.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from mailsluice.bounces.quoted_subject import without_quoted
from mailsluice.core.lazy_pattern import LazyPattern
from mailsluice.core.masking import masked
from mailsluice.mailbox_providers import Action, blamed

MAX_WORDS = 2_000
"""Characters of a text that are looked at."""


class Topic(StrEnum):
    """A topic of a refusal's words."""

    NOBODY = "nobody"
    """The user or the mailbox does not exist."""
    NOWHERE = "nowhere"
    """The domain or the host does not exist: the recipient's, unless the words name another."""
    REJECTED = "rejected"
    """The recipient's address is refused, without a reason that could blame something else."""
    FULL = "full"
    """The mailbox has no room."""
    RATE = "rate"
    """Too much mail in too little time."""
    LISTED = "listed"
    """The sending server is blocked, or the message is taken for spam."""
    SENDER = "sender"
    """The sender, its login or its right to relay."""
    POLICY = "policy"
    """Rules, content or size, rather than the address."""
    LATER = "later"
    """The refusal is not permanent."""


_WHO = (
    r"(?:user|recipient|mailbox|address|account(?! manager)|addressee|alias|rcpt|userid|e-?mail"
    r"|destination)"
)
_NOT_THERE = (
    r"(?:unknown|not (?:be )?(?:exist|a valid|valid|listed|found|known)|could ?n.t be found"
    r"|(?:does|did|do) ?(?:n.t|not) exist|no longer|inactive|invalid|disabled"
    r"|deactivated|discontinued|terminated|deleted|expired|suspended|is unavailable)"
)
_PATTERNS = {
    Topic.NOBODY: (
        rf"\b{_WHO}s?\b.{{0,60}}{_NOT_THERE}",
        r"\b(?:no such|unknown|invalid|inactive|non-?existent|disabled|undeliverable|no valid|bad"
        r"|illegal)"
        r" (?:or (?:illegal|disabled) )?(?:local |virtual |e-?mail |final delivery |mail )*"
        rf"(?:{_WHO}s?|part|person)\b",
        r"no mailbox (?:here|by that name)|does(?:n.t| not) have an? .{0,40}account"
        r"|\b(?:account|mailbox) (?:is |was |has been )?closed\b|not our customer"
        r"|nobody (?:here )?(?:by|with|of) (?:that|this) name",
        r"not (?:a )?(?:known|valid|local|active) (?:user|recipient|mailbox|address|account)",
        r"unrouteable (?:mail )?address"
        r"|not listed in .{0,40}director|recipnotfound|recipientnotfound",
        # de, fr, it, es, pt, nl, pl, sv, tr, da
        r"(?:benutzer|empf.{1,2}nger|adresse|postfach)\b.{0,40}"
        r"(?:unbekannt|nicht gefunden|existiert nicht|ung.ltig)|unbekannter? (?:benutzer|empf)",
        r"(?:utilisateur|destinataire|adresse|bo.te|compte)\b.{0,60}"
        r"(?:inconnue?\b|inexistante?|n.existe pas|introuvable|invalide)",
        r"(?:utente|destinatario|indirizzo|casella)\b.{0,40}"
        r"(?:sconosciut|inesistente|non esiste|non trovat)",
        r"(?:usuario|destinatario|buz.n|direcci.n|cuenta)\b.{0,40}"
        r"(?:desconocid|inexistente|no existe|no encontrad|no v.lid)|no existe (?:el|la|ese)\b",
        r"(?:usu.rio|destinat.rio|endere.o|conta)\b.{0,40}(?:desconhecid|inexistente|n.o existe)",
        r"(?:gebruiker|ontvanger|adres|postvak)\b.{0,30}(?:onbekend|bestaat niet|niet gevonden)"
        r"|onbekende (?:gebruiker|ontvanger)",
        r"nie istnieje|nie ma takiego|nieznany (?:u.ytkownik|adresat|odbiorca)",
        r"(?:mottagaren|anv.ndaren|brugeren|kullan.c.|adresi)\b.{0,30}"
        r"(?:ok.nd|finns inte|findes ikke|bulunamad)",
        # ru, ja, zh, ko
        r"пользовател.{0,40}(?:не найден|не существу|неизвест)|несуществующ|нет такого пользовател"
        r"|такого пользователя нет|ящик.{0,20}не (?:существу|найден)",
        r"(?:ユーザ|宛先|アドレス|ディレクトリ).{0,60}"
        r"(?:見つかりません|存在しま|不明|ありません|存在しない|無効)",
        r"(?:用户|收件人|地址|邮箱|使用者|帐号|账号|信箱).{0,10}不存在"
        r"|不存在的(?:用户|收件人|地址|邮箱)|无此用户|用户未找到"
        r"|(?:사용자|수신자|주소).{0,20}(?:찾을 수 없|존재하지 않|없는)",
    ),
    Topic.NOWHERE: (
        r"\b(?:domain|host)\b.{0,40}(?:not found|does not exist|does not accept mail|unknown)"
        r"|unrouteable (?:mail )?domain|no mx record|non-existent hosts",
        r"\b(?:no such|unknown|invalid|inactive|non-?existent|disabled|undeliverable|no valid|bad"
        r"|illegal)"
        r" (?:or (?:illegal|disabled) )?(?:local |virtual |e-?mail |final delivery |mail )*"
        r"(?:host|domain)\b",
    ),
    Topic.REJECTED: (
        # not followed by another reason, except for that of Microsoft 365
        r"(?:recipient|rcpt|\baddress(?:es)?) (?:was |is |were )?(?:rejected|refused)"
        r"(?! ?+: ?+(?!access denied))|mailbox unavailable|mailbox not available",
    ),
    Topic.FULL: (
        rf"(?:\b(?:{_WHO}|in-?box|box|storage|maildrop)s?\b|quota).{{0,60}}"
        r"(?:\bfull\b|over ?quota|exceed|over (?:the |its |his )?limit|no space|insufficient)",
        r"(?:\bfull\b|over ?quota|exceed|out of|insufficient).{0,40}"
        r"\b(?:mailbox|in-?box|quota|storage|disk|space)",
        r"over ?quota|mailfolder is full|not enough (?:disk )?space",
        r"postfach.{0,20}voll\b|bo.te.{0,30}pleine|casella.{0,20}piena|buz.n.{0,20}lleno"
        r"|caixa.{0,20}cheia|postvak.{0,20}vol\b|переполнен|邮箱已?满|信箱已?滿"
        r"|(?:容量|メールボックス).{0,30}(?:超|いっぱい|一杯)|용량.{0,10}초과",
    ),
    Topic.RATE: (
        r"(?:receiv|send|sent|connect|deliver)\w{0,4}\b.{0,40}"
        r"(?:\brate\b|too (?:quickly|fast|often|many)|limit)",
        r"\brate\b.{0,20}(?:limit|exceed)|(?:limit|exceed).{0,20}\brate\b|thrott|slow down",
        r"(?:daily|hourly|per hour|per day|relay|message|messages|submission|receiving)"
        r".{0,20}(?:\blimit|quota)|too (?:quickly|fast|frequent)|\bfrequency\b",
        r"too (?:many|much) .{0,30}(?:connection|message|mail|recipient|session|request|error)"
        r"|this (?:hour|day)\b",
    ),
    Topic.LISTED: (
        r"spam|\bjunk\b|phish|virus|malware|unsolicited|\bbulk mail|reputation|\bbanned"
        r"|(?:black|block|deny)[ -]?list|\brbls?\b|\bdnsbls?\b|\bsurbl|\buribl",
        r"\bblock(?:ed|ing)?\b|\battacks?\b"
        r"|too many (?:bad|invalid|unknown|wrong|non-?existent) ",  # of our earlier recipients
        r"\b(?:ips?|ip address|network|your (?:server|host|system|mail ?server|isp))\b.{0,40}"
        r"(?:block|list|reject|denied|refus|not allowed|forbidden|bad|poor)",
    ),
    Topic.SENDER: (
        r"sender|relay(?! recipient)|authenticat|\bspf\b|dkim|dmarc|\bhelo\b|\behlo\b|\brdns\b"
        r"|reverse|\bptr\b|\bfrom address|return.?path|mail from\b"
        r"|\b(?:your|client|sending|source|from) ips?\b|dynamic|exploit|mail server at"
        r"|\byour domain\b|return address|call-?(?:out|back)\b|\bverification failed",
    ),
    Topic.POLICY: (
        r"polic(?:y|ies)|content|too (?:large|big|long)|grey ?list|gray ?list|message size"
        r"|size limit|try again later from|prohibit|not allowed|access denied|permission"
        r"|forbidden|restrict|not authori[sz]ed|unauthori[sz]ed|not permitted|attachment|filter"
        r"|\bheaders?\b|message scored|(?:mail|routing) loop|too many hops",
    ),
    Topic.LATER: (
        r"temporar|try (?:again )?later|again later|later time|at this time|grey ?list|gray ?list"
        r"|not found,? try again|unexpected name server|recipient preferences|not accepting mail"
        # the directory of users does not answer, or the mailbox is locked at the moment
        r"|servfail|timed? ?-?out\b|look-?up fail|verification (?:is )?unavailable|(?:database|ldap"
        r"|internal|system) (?:error|failure)|\bbusy\b|\block(?:ed)?\b|\bfrozen\b|\bon vacation\b"
        r"|vor.bergehend|temporair|temporane|временно|暂时|一時的",
    ),
}
_TOPICS = {topic: LazyPattern(*patterns) for topic, patterns in _PATTERNS.items()}
_OTHERS = (
    r"(?:send(?:er|ing)\b|\bhelo\b|\behlo\b|\bclient\b|connecting|reverse|\bptr\b|\brdns\b"
    r"|\bdkim\b|\bspf\b|\bdmarc\b|return[ -]path|\b(?:mail|envelope|header)[ -]?from\b"
    r"|\bfrom(?::| address\b| domain\b| header\b)|\breply-to\b|\bmessage-?id\b"
    r"|\b(?:in|of|from) (?:the |a |an |your )?(?:[\w-]+ )?(?:links?|ur[li]s?|body|message|headers?"
    r"|contents?|text|web ?site|attachment)\b|\b(?:links?|linked|ur[li]s?)\b"
    r"|\bmessage contains\b|\bend of data\b)"
)
_OTHER_DOMAINS = LazyPattern(
    r"\byour (?:[\w-]+ )?(?:domain|host|server|system|ip)",
    rf"{_OTHERS}.{{0,40}}\b(?:domain|host)|\b(?:domain|host).{{0,40}}{_OTHERS}",
    r"\bhost ?name\b",
)
"""Words that name another domain or host than the recipient's: ours, or one in the message."""
_IN_THE_MESSAGE = LazyPattern(
    r"\bmessage (?:contains|has)\b|\bin (?:the |your )?(?:message|mail|body|text|header|link)\b"
    r"|\bof (?:the |a )?(?:link|header)\b|\breply-to\b|\bmessage-?id\b"
)
"""Words of a reply to the message that name an address in it."""
_HOST_ALONE = re.compile(
    r"(?!.*(?:domain|destination|recipient|\bmx\b)).*\bhosts?\b", re.IGNORECASE
)
"""Matches words about a host which may be ours, as no domain is named."""
_LISTS = LazyPattern(
    r"spamhaus|spamcop|barracuda(?:central|networks)|\bsorbs\b|cloudmark|senderscore|senderbase"
    r"|invaluement|uceprotect|backscatterer|abuseat|abusix|mailspike|spamrats|\bpsbl\b|dnswl"
    r"|ipcheck\.proofpoint|sender\.office\.com|\bzen\.|\bcbl\."
    # AOL, GoDaddy, Charter and others: codes that are never about the recipient's address
    r"|\b(?:(?:RLY|RTR|CON|HVU|DYN|DNS):[A-Z]+\d*|IB\d{3}|AUP#|E\d{4}\b.{0,20}listed)",
)
"""Names of block lists, and codes for blocked servers, which also occur in links."""
_UNUSED = (
    r"(?:inactivity|inactiveness|lack of (?:use|activity|log-?ins?)|dormant|dormancy"
    r"|(?:not|never) (?:been )?(?:used|accessed|logged)|no (?:recent )?(?:log-?ins?|activity)"
    r"|inaktivit|nicht ?(?:benutz|genutz|verwend)|(?:in|non )activit|inutilis|non utilis"
    r"|inattivit|inutilizz|inutilizad|inactividad|inatividad|inactiviteit|ongebruikt"
    r"|nieaktywn|неактивн|неиспольз|hareketsiz|kullanılma"
    r"|未使用|(?:未|不)(?:登录|登錄|使用)|不活[跃躍]|休[止眠]|비활성|미사용|휴면)"
)
_MAILBOX_OF_ANY_LANGUAGE = (
    r"(?:\b(?:mailbox|account|user|address|konto|kontot|postfach|benutzer|adresse|compte|bo.te"
    r"|utilisateur|casella|utente|indirizzo|buz.n|cuenta|usuario|caixa|conta|usu.rio|postvak"
    r"|gebruiker|skrzynk|u.ytkownik|hesa[bp]|kullan.c.|posta kutusu|brevl.da|postkasse)"
    r"|ящик|уч[её]тн|аккаунт|пользовател|邮箱|郵箱|信箱|[账帐帳][号戶户號]|用户|用戶"
    r"|アカウント|メールボックス|ユーザ|계정|사서함|사용자)"
)
_IDLE = LazyPattern(
    rf"{_MAILBOX_OF_ANY_LANGUAGE}.{{0,80}}{_UNUSED}|{_UNUSED}.{{0,80}}{_MAILBOX_OF_ANY_LANGUAGE}"
)
"""Words about a mailbox that nobody has used for long, which its server therefore has closed."""
_IDLE_BLOCK = LazyPattern(
    rf"\bblock(?:ed|ing)?\b.{{0,40}}(?:{_UNUSED}|\binactive)",
    rf"{_UNUSED}.{{0,60}}\bblock(?:ed|ing)?\b",
)
"""Words about something that was blocked because nobody used it, which no sender is."""
_BLOCK = re.compile(r"\bblock(?:ed|ing)?\b", re.IGNORECASE)
_NO_MAILBOX = re.compile(
    r"\bips?\b|\bservers?\b|\bhosts?\b|\bnetwork\b|\bconnection|\bsession|\btime-?out|\bsend(?:er|ing)"
    r"|\byour\b|\btrial\b|\bpop[ -]|\bsmtp (?:user|account|login|access|service)|\brelay",
    re.IGNORECASE,
)
"""Matches what may be blocked or closed instead of a recipient's mailbox."""
_SENDERS = {Action.BLOCK: Topic.LISTED, Action.REST: Topic.LISTED, Action.SLOW: Topic.RATE}
"""Topics of replies that large providers use for servers which send too much, or are blocked."""
_LINK = re.compile(r"\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)
_MACHINE = re.compile(r"(?<![\w.-])(?:[\w-]++\.)++[\w-]++(?![\w-])|\[[^][\s]*+\]")


class Answer(StrEnum):
    """The part of the dialogue that a refusal answers, which tells what its words are about."""

    RECIPIENT = "recipient"
    """The recipient's address (RCPT)."""
    MESSAGE = "message"
    """The message (DATA, the final dot), so that domains and addresses may be those in it."""
    UNKNOWN = "unknown"
    """A report does not tell."""


def topics(text: str, answer: Answer = Answer.UNKNOWN) -> frozenset[Topic]:
    """Find the topics of a refusal; of a long one, those of its beginning."""
    return _topics(masked(text[:MAX_WORDS]), answer)


@lru_cache(maxsize=1024)  # servers repeat the same few refusals for many addresses
def _topics(text: str, answer: Answer) -> frozenset[Topic]:
    line = without_quoted(" ".join(text.split()))
    words = _MACHINE.sub(" ", _LINK.sub(" ", line))
    is_of_mailbox = _NO_MAILBOX.search(words) is None
    if is_of_mailbox and _IDLE_BLOCK.search(words):
        words = _BLOCK.sub("disabled", words)
    spoken = {topic for topic, pattern in _TOPICS.items() if pattern.search(words)}
    if is_of_mailbox and _IDLE.search(words):
        spoken.add(Topic.NOBODY)
    if Topic.NOWHERE in spoken:
        spoken = _placed(spoken, words, answer)
    if answer is Answer.MESSAGE and _IN_THE_MESSAGE.search(words):
        spoken -= {Topic.NOBODY, Topic.REJECTED}
    if _LISTS.search(line):
        spoken.add(Topic.LISTED)
    if (blame := blamed(text, None)) and blame.action in _SENDERS:
        spoken.add(_SENDERS[blame.action])
    return frozenset(spoken)


def _placed(spoken: set[Topic], words: str, answer: Answer) -> set[Topic]:
    """Blame the sender for a domain other than the recipient's, and nobody for one in doubt."""
    if _OTHER_DOMAINS.search(words):
        return spoken - {Topic.NOWHERE} | {Topic.SENDER}
    is_doubted = answer is Answer.RECIPIENT and _HOST_ALONE.match(words)
    return spoken - {Topic.NOWHERE} if is_doubted or answer is Answer.MESSAGE else spoken
