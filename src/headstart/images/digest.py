"""What a picture is called by, whatever its file is called: the digest of its bytes."""

import hashlib

PICTURE_DIGEST_BYTES = 20


def picture_digest(data: bytes) -> str:
    """The digest of a picture file's bytes: 40 hexadecimal digits of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=PICTURE_DIGEST_BYTES).hexdigest()
