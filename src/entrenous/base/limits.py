"""Limits and constants that a specification fixes and that several modules use.

A constant that only one algorithm uses stays in that algorithm's module.
"""

from typing import Final

# --- pictures: docs/spec/pictures.md -----------------------------------------------------------
# the most pixels of a decoded picture, so that it takes at most 360 MB
PICTURE_PIXELS_MAX: Final = 120_000_000
CLIP_PIXELS_MAX: Final = 9_437_184  # the most pixels of one frame, 4,096 x 2,304; docs/spec/clip.md
CLIP_LENGTH_S_MAX: Final = 3600.0
SOUND_LENGTH_S_MAX: Final = 1200.0  # seconds; docs/spec/sound.md
SOUND_RATE_HZ_MAX: Final = 96_000
# the shortest side of a marked picture; no mark is detected on thumbnails of 64 pixels
MARK_SIDE_PX_MIN: Final = 64
# --- trace: docs/spec/mark.md ------------------------------------------------------------------
ALPHA: Final = 1e-6  # accepted probability that a trace names an innocent copy; docs/decisions/0002
SEED_BYTES: Final = 32
# derives the key stream of one copy's mark; docs/spec/mark.md
COPY_CONTEXT: Final = b"entrenous/1 mark copy"
# derives the key stream of the dither that all copies share
DITHER_CONTEXT: Final = b"entrenous/1 mark dither"
# derives the key stream of one copy's mark at a point in time of a clip; docs/spec/clip.md
CLIP_CONTEXT: Final = b"entrenous/1 mark clip"
# derives the key stream of the mark in one copy of a sound; docs/spec/sound.md
SOUND_CONTEXT: Final = b"entrenous/1 mark sound"
# derives the key stream of the pilot at such a point, which all copies of the clip share
PILOT_CONTEXT: Final = b"entrenous/1 mark pilot"
LABEL_CHARS_MAX: Final = 200  # length of the sender's name for a recipient of a marked copy
LABELS_MAX: Final = 10_000  # the most recipients of one marked picture
# --- stop: docs/spec/gate.md -------------------------------------------------------------------
PDQ_RADIUS: Final = 31  # bits by which matching hashes may differ, as Meta recommends
# a lower quality means a flat picture; flat pictures all match each other
PDQ_QUALITY_MIN: Final = 50
FRAMES_KEPT_MAX: Final = 240  # frames stored for an accepted clip; docs/spec/gate.md section 11.5
PDQ_BYTES: Final = 32
# PDQ quality, at least, of the hash of a part of a picture; a lower one is enough here, because a
# match only quarantines the upload
PART_QUALITY_MIN: Final = 20
# PDQ quality, at least, of the hash of a registered part; docs/spec/gate.md section 3
WINDOW_QUALITY_MIN: Final = 32
PARTS_MAX: Final = (
    600  # hashes of parts of a picture in one registration; a device sends at most 525
)
# The sides in pixels to which a gate decodes a JPEG, as large as its scans need: WHOLE_SIDE_PX to
# compare whole pictures, GATE_SIDE_PX to compare parts and the area inside a border.
WHOLE_SIDE_PX: Final = 192
GATE_SIDE_PX: Final = 512
HOLDER_TOKEN_BYTES: Final = 32
CLAIM_ID_BYTES: Final = 16
CLAIM_BYTES_MAX: Final = 64 * 1024  # a request with 525 hashes of parts has 36 kB
VIDEO_CLAIM_BYTES_MAX: Final = 320 * 1024  # 1,200 frames of two hashes and 10,000 words: 297 kB
SOUND_CLAIM_BYTES_MAX: Final = 96 * 1024  # 10,000 words: 81 kB
UPLOAD_BYTES_MAX: Final = 32 * 1024 * 1024
# --- send: docs/spec/letter.md, content.md, relay.md ----------------------------------------------
PROTOCOL_VERSION: Final = 2
# Days until an unopened message expires, by default. Relays accept one day more, so a clock that is
# wrong by some hours does not matter.
DEFAULT_EXPIRY_DAYS: Final = 29
PICTURES_MAX: Final = 64  # the most files of one message; content.md section 1
TEXT_CHARS_MAX: Final = 16_384
# seconds for which a message can be undone by default, before any of it is sent
UNDO_WINDOW_S: Final = 10
UNDO_WINDOW_S_MAX: Final = 3600
# smaller uploads restart from the beginning when they were interrupted
RESUMED_BYTES_MIN: Final = 1024 * 1024
REACTION_BYTES_MAX: Final = 32
REQUEST_CHARS_MAX: Final = 280
RECEIPTS_MAX: Final = 64  # the most receipts in one letter
# the most statements that one signature of a device covers; identity.md section 5
BATCH_SIZE_MAX: Final = 64
DEVICES_MAX: Final = 16  # the most devices of one person; identity.md section 3
REVOKED_MAX: Final = 64
LIST_BYTES_MAX: Final = 32 * 1024  # the most bytes of all device lists in a key bundle
LISTS_MAX: Final = 64
PLAIN_CARD_BYTES_MAX: Final = 96 * 1024
# the size in bytes, at most, of a key bundle before it is encrypted
SHOWN_CARD_SIZES: Final = tuple(size * 1024 for size in (16, 32, 64, 100))
CAPTION_CHARS_MAX: Final = 4096
INVITE_USES: Final = 10  # how many first letters an invite admits for each person it is for
INVITE_DAYS: Final = 30
INVITE_PEOPLE_MAX: Final = 64  # the most people that one invite link is for
KEY_ID_BYTES: Final = 8
# one-time keys of one device: the most that a relay keeps and that vodozemac makes at once
ONE_TIME_KEYS: Final = 50
OWN_KEYS_PER_PEER: Final = 64  # X-Wing keys of ours that are kept for one other device
# letters between two devices may arrive out of order by this many positions
COUNTER_WINDOW: Final = 64
# sessions kept with one device: both sides may begin one at the same time, and letters in older
# sessions may still arrive
SESSIONS_MAX: Final = 4
TOKEN_RANGE_SIZE: Final = 64  # send tokens issued to one device at once; letter.md section 9
TOKEN_RANGE_LOW: Final = 32  # with fewer tokens left than this, more are issued
TOKEN_RANGE_UNUSED_MAX: Final = 256  # the most unused tokens that are registered for one device
TOKEN_RANGE_SKIPPED_MAX: Final = 64  # the most older, skipped tokens that stay valid
# tokens derived from one seed, after which a token range is replaced
TOKEN_RANGE_INDEXES_MAX: Final = 4096
TOKEN_RANGE_TOP_UP_HOURS: Final = 24  # hours before a device that used few of its tokens gets more
TOKEN_RANGE_DAYS: Final = 90  # days after which a token range is replaced
TOKEN_RANGE_FIRST_MAX: Final = 1 << 53  # the highest first index of a token range
# a device with this many replaced token ranges that are still valid gets no further one
REPLACED_TOKEN_RANGES_MAX: Final = 4
REPLACED_TOKEN_RANGE_DAYS: Final = 7  # days for which a replaced token range stays valid
# --- the relay: docs/spec/relay.md -------------------------------------------------------------
PROTOCOL_FLOOR: Final = 2  # the oldest protocol version that a relay still speaks
PROTOCOL_NEWEST: Final = 2
TOKEN_BYTES: Final = 32
LOCK_BYTES: Final = 32
SHARE_BYTES: Final = 32  # content.md section 3
ATTEMPT_BYTES: Final = 16
SEALED_BYTES_MAX: Final = 160 * 1024
CARD_BYTES_MAX: Final = 128 * 1024
# an X-Wing prekey has 7 kB, since it carries the signature on its batch
PREKEY_BYTES_MAX: Final = 8 * 1024
BLOB_BYTES_MAX: Final = 4 * 1024**3
BLOBS_PER_ENVELOPE_MAX: Final = 65  # a frame and 64 files
PREKEY_CLAIMS_PER_HOUR: Final = 20
SINGLE_USE_TOKEN_CLAIMS_PER_HOUR: Final = (
    4  # claims of prekeys in an hour with a token that admits one envelope
)
OPENS_MAX: Final = 1000
WAKE_REQUEST_S_MAX: Final = (
    60  # seconds that a device may wait for a letter in one request, at most
)
# seconds that our devices wait for a letter in one request, less than their HTTP client's timeout
WAKE_REQUEST_S: Final = 20
ENVELOPES_PER_PAGE_MAX: Final = 50  # the most envelopes in one answer
# a large transfer is aborted if it moves fewer bytes than this in TRANSFER_INTERVAL_S (1 KiB/s)
TRANSFER_BYTES_MIN_PER_INTERVAL: Final = 60 * 1024
TRANSFER_INTERVAL_S: Final = 60.0
REQUEST_PAUSE_S_MAX: Final = (
    # the longest random pause in seconds between requests about this device and letters to others
    # (relay.md section 14)
    3.0
)
# a page of envelopes is full once their sealed bytes reach this size
PAGE_FULL_BYTES: Final = 512 * 1024
# --- what one mailbox may hold: docs/spec/relay.md section 9, carry/send_tokens.py ---
# waiting letters of one mailbox: 66 a day for a month, 313 MiB at most
LETTERS_WAITING_MAX: Final = 2000
SHARES_MAX: Final = 10_000  # shares of waiting and of fetched letters: 333 a day for a month
# twice the devices of a person, because ending a group reads all of its shares
GROUP_SHARES_MAX: Final = 32
# blobs that no envelope names yet, including unfinished uploads
UNREFERENCED_BLOBS_MAX: Final = 1000
# bytes of such blobs, enough for two of the largest files
UNREFERENCED_BYTES_MAX: Final = 8 * 1024**3
MAILBOX_BLOBS_MAX: Final = 10_000
MAILBOX_BYTES_MAX: Final = 16 * 1024**3
# tokens registered at one mailbox: for every device that may write, padding, and open invites
TOKENS_MAX: Final = 65_536
TOKEN_BATCH_MAX: Final = 4096  # the most hashes of tokens that one request adds or drops
# the most bytes that one token uploads at the same time
TOKEN_UPLOAD_BYTES_MAX: Final = 8 * 1024**3
# a key bundle names 16 devices, and replaced devices leave their keys behind
PREKEY_DEVICES_MAX: Final = 64
# --- what the relay keeps: docs/spec/relay.md section 8, carry/expire.py -----------------------
EXPIRY_DAYS_MAX: Final = 30
TOMBSTONE_DAYS: Final = 30
SPENT_KEY_DAYS: Final = 30
UNREFERENCED_BLOB_HOURS: Final = 24
# hours after which a request is no longer on its way, since no connection delays it for longer
REQUEST_IN_TRANSIT_HOURS: Final = 1
# days since the last clean-up: if the clock jumped by more, nothing is deleted yet
CLOCK_JUMP_DAYS: Final = 2
CLOCK_TRUSTED_AFTER_MINUTES: Final = (
    60  # minutes of steady running after which a clock that jumped is trusted
)
# --- the lock of a vault: docs/spec/lock.md ------------------------------------------------------
UNLOCK_TRIES: Final = 10  # wrong passphrases that a relay accepts until the vault has been unlocked
# earlier unlock tokens that are kept, in case a relay is restored from a backup
UNLOCK_TOKENS_KEPT: Final = 8
GENERATION_MAX: Final = 2**53 - 1  # the largest integer that JSON numbers represent exactly
OPENING_BYTES: Final = 16
OPENINGS_MAX: Final = 128  # unlocks that one vault reports in a row without an answer
MAILBOXES_PER_DEVICE_MAX: Final = (
    8  # mailboxes that one device announces to its owner's other devices; devices.md section 5
)
PREPARED_MAILBOX_DAYS: Final = (
    14  # days for which a prepared mailbox is kept after no device leads a move there any more
)
FORMER_MAILBOX_DAYS: Final = 30  # days for which the mailbox at the old relay is read after a move
AWAITING_LIST_DAYS: Final = 7  # days for which a letter waits for the device list that it names
DELETED_MAILBOX_DAYS: Final = 30  # days for which the id of a deleted mailbox cannot be used again
OFFLINE_HOURS_MAX: Final = 168
# --- people: docs/spec/people.md -----------------------------------------------------------------
CIRCLE_PEOPLE_MAX: Final = 256
SILENT_DEVICE_DAYS: Final = 21  # days of silence after which a device may be in other hands
COMPARE_HOURS: Final = 24  # hours for which one comparison of keys stays open
# --- devices: docs/spec/devices.md ---------------------------------------------------------------
LINK_MINUTES: Final = 10  # minutes that linking a device may take, at most
LINK_USES: Final = 3  # letters that the token of a link code admits
DEVICE_LIST_TRIES: Final = 3  # tries to fetch a device list that a letter names, within 24 hours
LENT_TOKENS_PER_DEVICE: Final = (
    2  # tokens that a new device is lent for its first letters to each device of a contact
)
