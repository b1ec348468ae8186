"""Numbers that a document fixes and that several modules need, with their sources.

A constant that only one algorithm uses stays in that algorithm's module.
"""

from typing import Final

# --- pictures: docs/spec/pictures.md -----------------------------------------------------------
PICTURE_PIXELS_MAX: Final = 120_000_000  # a decoded picture may take 360 MB, no more
CLIP_PIXELS_MAX: Final = 9_437_184  # for one frame: 4,096 x 2,304; docs/spec/clip.md
CLIP_LENGTH_S_MAX: Final = 3600.0
SOUND_LENGTH_S_MAX: Final = 1200.0  # docs/spec/sound.md
SOUND_RATE_HZ_MAX: Final = 96_000
MARK_SIDE_PX_MIN: Final = 64  # below this no mark is detected (TRACE: thumbnails of 64 px fail)
# --- trace: docs/spec/mark.md ------------------------------------------------------------------
ALPHA: Final = 1e-6  # accepted probability of naming any innocent copy; docs/decisions/0002
SEED_BYTES: Final = 32
COPY_CONTEXT: Final = b"entrenous/1 mark copy"  # key stream of one copy's chips; spec/mark.md
DITHER_CONTEXT: Final = b"entrenous/1 mark dither"  # key stream of a message's shared dither
# key stream of one copy's chips at a node; spec/clip.md
CLIP_CONTEXT: Final = b"entrenous/1 mark clip"
SOUND_CONTEXT: Final = b"entrenous/1 mark sound"  # key stream of one copy of a sound; spec/sound.md
# key stream of the chips at a node that all copies share
PILOT_CONTEXT: Final = b"entrenous/1 mark pilot"
LABEL_CHARS_MAX: Final = 200  # length of the sender's name for a recipient of a marked copy
LABELS_MAX: Final = 10_000  # recipients of one marked picture
# --- stop: docs/spec/gate.md -------------------------------------------------------------------
PDQ_RADIUS: Final = 31  # Meta's recommended match distance, in bits
PDQ_QUALITY_MIN: Final = 50  # flat pictures with a lower quality match each other
FRAMES_KEPT_MAX: Final = 240  # frames stored for an accepted clip; docs/spec/gate.md 11.5
PDQ_BYTES: Final = 32
# quality of a part's hash: a match only quarantines, so less detail is enough
PART_QUALITY_MIN: Final = 20
WINDOW_QUALITY_MIN: Final = 32  # quality of a registered window; docs/spec/gate.md section 3
PARTS_MAX: Final = 600  # window hashes in one registration; a device sends at most 525
# Size to which a gate decodes JPEGs: as large as its scans need, for whole pictures
# (bench.stopping.shrunk), and for windows and the area inside a frame (STOP measurements).
WHOLE_SIDE_PX: Final = 192
GATE_SIDE_PX: Final = 512
HOLDER_TOKEN_BYTES: Final = 32
CLAIM_ID_BYTES: Final = 16
CLAIM_BYTES_MAX: Final = 64 * 1024  # a request with 525 window hashes has 36 kB
VIDEO_CLAIM_BYTES_MAX: Final = 320 * 1024  # 1,200 frames of two hashes and 10,000 words: 297 kB
SOUND_CLAIM_BYTES_MAX: Final = 96 * 1024  # 10,000 words: 81 kB
UPLOAD_BYTES_MAX: Final = 32 * 1024 * 1024
# --- send: docs/spec/letter.md, content.md, relay.md ----------------------------------------------
PROTOCOL_VERSION: Final = 2
# The default expiry of an unopened message; relays accept a day more, so that a clock which is off
# by some hours does not matter.
DEFAULT_EXPIRY_DAYS: Final = 29
PICTURES_MAX: Final = 64  # files of one message; content.md section 1
TEXT_CHARS_MAX: Final = 16_384
UNDO_WINDOW_S: Final = 10  # default delay before any part of a message leaves
UNDO_WINDOW_S_MAX: Final = 3600
RESUMED_BYTES_MIN: Final = 1024 * 1024  # smaller uploads restart instead of resuming
REACTION_BYTES_MAX: Final = 32
REQUEST_CHARS_MAX: Final = 280
RECEIPTS_MAX: Final = 64  # receipts in one letter
BATCH_SIZE_MAX: Final = 64  # statements that one signature of a device covers; identity.md 5
DEVICES_MAX: Final = 16  # devices of one person; identity.md section 3
REVOKED_MAX: Final = 64
LIST_BYTES_MAX: Final = 32 * 1024  # total size of the statements of a card
LISTS_MAX: Final = 64
PLAIN_CARD_BYTES_MAX: Final = 96 * 1024
# size of a card before it is sealed
SHOWN_CARD_SIZES: Final = tuple(size * 1024 for size in (16, 32, 64, 100))
CAPTION_CHARS_MAX: Final = 4096
INVITE_USES: Final = 10  # first letters that one invite admits for each invited person
INVITE_DAYS: Final = 30
INVITE_PEOPLE_MAX: Final = 64  # people of one link
KEY_ID_BYTES: Final = 8
# keys of one device: the most that a relay keeps and vodozemac makes at once
ONE_TIME_KEYS: Final = 50
OWN_KEYS_PER_PEER: Final = 64  # X-Wing keys kept for one peer
COUNTER_WINDOW: Final = 64  # how far letters of one pair may arrive out of order
SESSIONS_MAX: Final = 4  # both sides may begin one simultaneously; older ones are still in use
TOKEN_RANGE_SIZE: Final = 64  # tokens issued to one device at once; letter.md section 9
TOKEN_RANGE_LOW: Final = 32  # with fewer left, more are issued
TOKEN_RANGE_UNUSED_MAX: Final = 256  # unused tokens registered for one device
TOKEN_RANGE_SKIPPED_MAX: Final = 64  # older unused tokens that stay valid
TOKEN_RANGE_INDEXES_MAX: Final = 4096  # indexes of one seed, after which a window is replaced
TOKEN_RANGE_TOP_UP_HOURS: Final = 24  # wait before a device that used few of its tokens gets more
TOKEN_RANGE_DAYS: Final = 90  # age at which a window is replaced
TOKEN_RANGE_FIRST_MAX: Final = 1 << 53  # the highest first index of a window
# a device with so many replaced windows that are still valid gets no other
REPLACED_TOKEN_RANGES_MAX: Final = 4
REPLACED_TOKEN_RANGE_DAYS: Final = 7  # time for which a replaced window stays valid
# --- the relay: docs/spec/relay.md -------------------------------------------------------------
PROTOCOL_FLOOR: Final = 2  # the oldest protocol that a relay still speaks
PROTOCOL_NEWEST: Final = 2
TOKEN_BYTES: Final = 32
LOCK_BYTES: Final = 32
SHARE_BYTES: Final = 32  # content.md section 3
ATTEMPT_BYTES: Final = 16
SEALED_BYTES_MAX: Final = 160 * 1024
CARD_BYTES_MAX: Final = 128 * 1024
PREKEY_BYTES_MAX: Final = 8 * 1024  # an X-Wing prekey has 7 kB: it carries its batch's signature
BLOB_BYTES_MAX: Final = 4 * 1024**3
BLOBS_PER_ENVELOPE_MAX: Final = 65  # a frame and 64 files
PREKEY_CLAIMS_PER_HOUR: Final = 20
SINGLE_USE_TOKEN_CLAIMS_PER_HOUR: Final = (
    4  # claims in an hour with a token that admits one envelope
)
OPENS_MAX: Final = 1000
WAKE_REQUEST_S_MAX: Final = (
    60  # the longest time for which a device may wait for a letter in one request
)
WAKE_REQUEST_S: Final = 20  # time for which our devices wait: less than their HTTP client's timeout
ENVELOPES_PER_PAGE_MAX: Final = 50  # envelopes in one answer
# least progress of a large transfer in TRANSFER_INTERVAL_S (1 KiB/s), or it is aborted
TRANSFER_BYTES_MIN_PER_INTERVAL: Final = 60 * 1024
TRANSFER_INTERVAL_S: Final = 60.0
REQUEST_PAUSE_S_MAX: Final = (
    3.0  # the longest pause between own requests and sent ones (relay.md section 14)
)
# size of the sealed bytes that fill a page, however few the envelopes
PAGE_FULL_BYTES: Final = 512 * 1024
# --- what one mailbox may hold: docs/spec/relay.md section 9, carry/send_tokens.py ---
LETTERS_WAITING_MAX: Final = 2000  # 66 a day for a month; at most 313 MiB
SHARES_MAX: Final = 10_000  # shares of letters that wait or were fetched; 333 a day for a month
GROUP_SHARES_MAX: Final = 32  # twice a person's devices; ending a group reads all of them
UNREFERENCED_BLOBS_MAX: Final = 1000  # blobs that no envelope names yet, including uploads
UNREFERENCED_BYTES_MAX: Final = 8 * 1024**3  # two of the largest files
MAILBOX_BLOBS_MAX: Final = 10_000
MAILBOX_BYTES_MAX: Final = 16 * 1024**3
TOKENS_MAX: Final = 65_536  # windows of every device that may write, padding, open invites
TOKEN_BATCH_MAX: Final = 4096  # locks that one request adds or drops
TOKEN_UPLOAD_BYTES_MAX: Final = 8 * 1024**3  # bytes that one token uploads at the same time
PREKEY_DEVICES_MAX: Final = 64  # a card names 16; replaced devices leave their keys behind
# --- what the relay keeps: docs/spec/relay.md section 8, carry/expire.py -----------------------
EXPIRY_DAYS_MAX: Final = 30
TOMBSTONE_DAYS: Final = 30
SPENT_KEY_DAYS: Final = 30
UNREFERENCED_BLOB_HOURS: Final = 24
REQUEST_IN_TRANSIT_HOURS: Final = 1  # no connection delays a request for longer
CLOCK_JUMP_DAYS: Final = 2  # days from the last sweep: a clock farther off deletes nothing yet
CLOCK_TRUSTED_AFTER_MINUTES: Final = (
    60  # minutes of steady running after which such a clock is believed
)
# --- the lock of a vault: docs/spec/lock.md ------------------------------------------------------
UNLOCK_TRIES: Final = 10  # requests that a relay answers until the vault has opened
UNLOCK_TOKENS_KEPT: Final = 8  # earlier tokens that are kept for a restored relay
GENERATION_MAX: Final = 2**53 - 1  # the largest integer that JSON numbers represent exactly
OPENING_BYTES: Final = 16
OPENINGS_MAX: Final = 128  # unlocks that one vault reports in a row without receiving an answer
MAILBOXES_PER_DEVICE_MAX: Final = (
    8  # mailboxes that one device reports to its owner's others; devices.md 5
)
PREPARED_MAILBOX_DAYS: Final = (
    14  # lifetime of a mailbox at a relay to which no device leads any more
)
FORMER_MAILBOX_DAYS: Final = 30  # how long the mailbox at the old relay is read after a move
AWAITING_LIST_DAYS: Final = (
    7  # time for which a letter waits for the unknown device list that it names
)
DELETED_MAILBOX_DAYS: Final = 30  # how long the name of a deleted mailbox stays taken
OFFLINE_HOURS_MAX: Final = 168
# --- people: docs/spec/people.md -----------------------------------------------------------------
CIRCLE_PEOPLE_MAX: Final = 256
SILENT_DEVICE_DAYS: Final = 21  # a device that was silent for longer may be in other hands
COMPARE_HOURS: Final = 24  # how long one comparison of keys may take
# --- devices: docs/spec/devices.md ---------------------------------------------------------------
LINK_MINUTES: Final = 10  # the longest time for one linking
LINK_USES: Final = 3  # letters that the token of a link code admits
DEVICE_LIST_TRIES: Final = 3  # requests in 24 hours for a device list that a letter names
LENT_TOKENS_PER_DEVICE: Final = (
    2  # tokens for a new device's first letters to each of somebody's devices
)
