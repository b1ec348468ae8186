"""An uploader asks for a person: a refused upload goes before a reviewer again, once."""

import hashlib

from entrenous.model.review import Appeal
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.stop.gate import secret_hash


def appeal(case: str, secret: Secret, untrusted_upload: bytes | None, platform: Platform) -> None:
    """Put the case before a reviewer again, with the file that the uploader sends again or without.

    What became of the upload is not said: also of a held and of an accepted one it is noted.

    Raises:
        NoSuchReview: no such case, or another secret.
        AlreadyAppealed: that was done.
        NotThatUpload: the file is another one.
    """
    sent = None if untrusted_upload is None else hashlib.sha256(untrusted_upload).digest()
    asked = Appeal(case, secret_hash(secret), platform.clock.now(), sent)
    platform.reviews.appeal(asked, untrusted_upload)
