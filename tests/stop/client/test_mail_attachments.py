"""Finding attachments in mails: encodings, ambiguous parts, invalid mails and limits."""

import base64
import contextlib
import quopri
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.client.uploaded_files import MAIL_PARTS_MAX, FileInMail, NotAMail, files_in_mail
from tests.connectors.running_gates import ACCEPTED_FILE, HELD_FILE


def new_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "Hello"
    mail.set_content("words")
    return mail


def test_media_attachments_are_found_also_in_an_attached_mail() -> None:
    inner = new_mail()
    inner.add_attachment(HELD_FILE, maintype="image", subtype="jpeg")
    mail = new_mail()
    mail.add_alternative("<p>words</p>", subtype="html")
    mail.add_attachment(ACCEPTED_FILE, maintype="image", subtype="jpeg", filename="x.jpg")
    mail.add_attachment(b"sound", maintype="audio", subtype="ogg")
    mail.add_attachment(inner)
    media = [FileInMail(data, says_media=True) for data in (ACCEPTED_FILE, b"sound", HELD_FILE)]
    assert files_in_mail(mail.as_bytes()) == media


def test_attachments_declared_as_documents_are_found() -> None:
    mail = new_mail()
    mail.add_attachment(ACCEPTED_FILE, maintype="application", subtype="pdf")
    mail.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="x.pdf")
    assert files_in_mail(mail.as_bytes()) == [FileInMail(ACCEPTED_FILE), FileInMail(b"%PDF-1.7")]


BASE64_BODY = base64.encodebytes(ACCEPTED_FILE)
MULTIPART_BODY = b"--e\r\n\r\nwords\r\n--e--\r\n"


def mail_part(
    transfer_encoding: bytes,
    body: bytes,
    content_type: bytes = b"image/jpeg",
    more_headers: bytes = b"",
) -> bytes:
    head = b"From: a\r\nContent-Type: " + content_type + b"; name=a.jpg\r\n" + more_headers
    return head + b"Content-Transfer-Encoding: " + transfer_encoding + b"\r\n\r\n" + body


@pytest.mark.parametrize("transfer_encoding", [b"base64", b"BASE64", b"base64 ", b"\tBase64\t"])
def test_mail_base64_is_decoded(transfer_encoding: bytes) -> None:
    for body in (
        BASE64_BODY,
        BASE64_BODY.replace(b"\n", b"\r\n") + b"\r\n",
        BASE64_BODY[:9] + b" " + BASE64_BODY[9:],
    ):
        assert files_in_mail(mail_part(transfer_encoding, body)) == [
            FileInMail(ACCEPTED_FILE, says_media=True)
        ]


@pytest.mark.parametrize("transfer_encoding", [b"7bit", b"8bit", b"Binary", b"quoted-printable"])
def test_mail_parts_without_base64_are_decoded(transfer_encoding: bytes) -> None:
    body = (
        quopri.encodestring(ACCEPTED_FILE)
        if transfer_encoding == b"quoted-printable"
        else ACCEPTED_FILE
    )
    (file,) = files_in_mail(mail_part(transfer_encoding, body))
    assert file.untrusted_data is not None
    assert file.untrusted_data.startswith(ACCEPTED_FILE[:7])


@pytest.mark.parametrize(
    "content_type", [b"image/jpeg", b"application/octet-stream", b"text/plain"]
)
@pytest.mark.parametrize(
    ("transfer_encoding", "body", "more_headers"),
    [
        (b"base64;", BASE64_BODY, b""),
        (b"base64 (x)", BASE64_BODY, b""),
        (b'"base64"', BASE64_BODY, b""),
        (b"x-uuencode", BASE64_BODY, b""),
        (b"", BASE64_BODY, b""),
        (b"base64", BASE64_BODY, b"Content-Transfer-Encoding: 7bit\r\n"),
        (b"7bit", BASE64_BODY, b"Content-Transfer-Encoding: base64\r\n"),
        (b"base64", BASE64_BODY, b"Content-Type: text/plain\r\n"),
        (b"base64", BASE64_BODY.rstrip(b"=\n") + b"A", b""),
        (b"base64", BASE64_BODY.rstrip(b"=\n") + b"AA===", b""),
        (b"base64", b"*" + BASE64_BODY, b""),
        (b"base64", BASE64_BODY.rstrip() + b"=\n" + BASE64_BODY, b""),
        (b"base64", BASE64_BODY + b"-- \na footer\n", b""),
    ],
)
def test_ambiguous_mail_encoding_is_not_decoded(
    content_type: bytes, transfer_encoding: bytes, body: bytes, more_headers: bytes
) -> None:
    (file,) = files_in_mail(mail_part(transfer_encoding, body, content_type, more_headers))
    assert file.untrusted_data is None


@pytest.mark.parametrize(
    "mail",
    [
        b"Content-Type: multipart/mixed\r\n\r\n--e\r\n\r\n" + BASE64_BODY,
        b"Content-Type: multipart/mixed; boundary=e\r\n\r\n" + BASE64_BODY,
        b"Content-Transfer-Encoding: base64\r\nContent-Type: multipart/mixed; boundary=e\r\n\r\n"
        + MULTIPART_BODY,
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + BASE64_BODY,
        b"Content-Type: message/partial; id=a; number=1\r\n\r\nSubject: a\r\n\r\n" + BASE64_BODY,
    ],
)
def test_ambiguous_mail_part_yields_a_file_without_data(mail: bytes) -> None:
    assert FileInMail(None) in files_in_mail(b"From: a\r\n" + mail)


def test_ambiguous_mail_part_does_not_hide_another_part() -> None:
    mail = b"From: a\r\nContent-Type: multipart/mixed; boundary=e\r\n\r\n--e\r\n"
    mail += (
        mail_part(b"base64;", BASE64_BODY)
        + b"\r\n--e\r\n"
        + mail_part(b"base64", BASE64_BODY)
        + b"\r\n--e--\r\n"
    )
    assert files_in_mail(mail) == [
        FileInMail(None, says_media=True),
        FileInMail(ACCEPTED_FILE, says_media=True),
    ]


@given(st.binary(min_size=1, max_size=300))
def test_attachment_of_any_bytes_is_found(attachment: bytes) -> None:
    mail = new_mail()
    mail.add_attachment(attachment, maintype="image", subtype="jpeg")
    assert files_in_mail(mail.as_bytes()) == [FileInMail(attachment, says_media=True)]


def test_mail_without_attachments_has_no_files() -> None:
    assert files_in_mail(new_mail().as_bytes()) == []


@pytest.mark.parametrize("invalid_mail", [b"", b"\r\n\r\nwords", ACCEPTED_FILE])
def test_data_that_is_not_a_mail_is_refused(invalid_mail: bytes) -> None:
    with pytest.raises(NotAMail):
        files_in_mail(invalid_mail)


def test_mail_with_too_many_parts_is_refused() -> None:
    mail = new_mail()
    mail.make_mixed()
    for _ in range(MAIL_PARTS_MAX + 1):
        mail.attach(EmailMessage())
    with pytest.raises(NotAMail):
        files_in_mail(mail.as_bytes())


@given(st.binary(max_size=500))
def test_random_bytes_as_mail_raise_only_not_a_mail(random_bytes: bytes) -> None:
    for mail in (
        random_bytes,
        b"Content-Type: multipart/mixed; boundary=e\r\n\r\n--e\r\n" + random_bytes,
    ):
        with contextlib.suppress(NotAMail):
            files_in_mail(mail)
