"""Limits and constants that a specification fixes and that several modules use.

A constant that only one algorithm uses stays in that algorithm's module.
"""

from typing import Final

# --- pictures: docs/spec/pictures.md -----------------------------------------------------------
# pixels of a decoded picture, which then takes at most 360 MB
PICTURE_PIXELS_MAX: Final = 120_000_000
CLIP_FRAME_PIXELS_MAX: Final = 9_437_184  # pixels of one frame, 4,096 x 2,304; docs/spec/clip.md
CLIP_LENGTH_S_MAX: Final = 3600.0
SOUND_LENGTH_S_MAX: Final = 1200.0  # seconds; docs/spec/sound.md
SOUND_RATE_HZ_MAX: Final = 96_000
# the shortest side of a picture that is marked; on a smaller one, no mark would be detected
MARKED_PICTURE_SIDE_PX_MIN: Final = 64
# --- trace: docs/spec/mark.md ------------------------------------------------------------------
# accepted probability that a trace names an innocent copy; docs/decisions/0002
FALSE_NAMING_CHANCE_MAX: Final = 1e-6
MARK_SEED_BYTES: Final = 32
# derives the key stream of one copy's mark; docs/spec/mark.md
COPY_MARK_KEY_CONTEXT: Final = b"entrenous/1 mark copy"
# derives the key stream of the dither that all copies share
DITHER_KEY_CONTEXT: Final = b"entrenous/1 mark dither"
# derives the key stream of one copy's mark at a point in time of a clip; docs/spec/clip.md
CLIP_MARK_KEY_CONTEXT: Final = b"entrenous/1 mark clip"
# derives the key stream of the mark in one copy of a sound; docs/spec/sound.md
SOUND_MARK_KEY_CONTEXT: Final = b"entrenous/1 mark sound"
# derives the key stream of the pilot at a point in time of a clip; all copies share the pilot
PILOT_KEY_CONTEXT: Final = b"entrenous/1 mark pilot"
# characters of a label: what the sender calls the recipient of a marked copy
LABEL_CHARS_MAX: Final = 200
LABELS_MAX: Final = 10_000  # recipients of one marked picture
# --- stop: docs/spec/gate.md -------------------------------------------------------------------
PDQ_RADIUS_BITS: Final = 31  # matching hashes differ in at most this many bits, as Meta recommends
# a picture of lower quality is flat, and all flat pictures match each other
PDQ_QUALITY_MIN: Final = 50
# frames whose hashes are stored for an accepted clip; docs/spec/gate.md section 11.5
CLIP_FRAMES_STORED_MAX: Final = 240
PDQ_BYTES: Final = 32
# minimum PDQ quality of a part of an upload; it may be lower than that of a whole picture, because
# a match of a part only quarantines the upload
UPLOAD_PART_QUALITY_MIN: Final = 20
# minimum PDQ quality of a registered part of a picture; docs/spec/gate.md section 3
REGISTERED_PART_QUALITY_MIN: Final = 32
# hashes of a picture's parts in one registration; a device sends at most 525
REGISTERED_PARTS_MAX: Final = 600
# A gate decodes a JPEG at a reduced size if both sides then still have at least this many pixels.
# The first limit applies when whole pictures are compared, the second when parts are compared, or
# the area inside a border.
WHOLE_COMPARISON_SIDE_PX_MIN: Final = 192
PART_COMPARISON_SIDE_PX_MIN: Final = 512
HOLDER_TOKEN_BYTES: Final = 32
CLAIM_ID_BYTES: Final = 16
CLAIM_BYTES_MAX: Final = 64 * 1024  # a request with the hashes of 525 parts takes 36 kB
# a request with 1,200 frames of two hashes, and 10,000 words (32 bits each) of a sound's
# fingerprint, takes 297 kB
VIDEO_CLAIM_BYTES_MAX: Final = 320 * 1024
# a request with 10,000 words of a sound's fingerprint takes 81 kB
SOUND_CLAIM_BYTES_MAX: Final = 96 * 1024
GATE_UPLOAD_BYTES_MAX: Final = 32 * 1024 * 1024
# --- send: docs/spec/letter.md, content.md, relay.md ----------------------------------------------
PROTOCOL_VERSION: Final = 2
# By default, an unopened message expires after this many days. Relays accept one day more, so a
# clock that is wrong by a few hours does not matter.
DEFAULT_EXPIRY_DAYS: Final = 29
FILES_PER_MESSAGE_MAX: Final = 64  # files of one message; content.md section 1
TEXT_CHARS_MAX: Final = 16_384
# A message is sent after this many seconds, unless the person chose otherwise. Until then it can be
# undone.
DEFAULT_UNDO_WINDOW_S: Final = 10
UNDO_WINDOW_S_MAX: Final = 3600
# a smaller upload starts again from the beginning after an interruption
RESUMABLE_UPLOAD_BYTES_MIN: Final = 1024 * 1024
REACTION_BYTES_MAX: Final = 32
REQUEST_NOTE_CHARS_MAX: Final = 280
RECEIPTS_PER_LETTER_MAX: Final = 64  # receipts in one letter
# one signature of a device covers at most this many statements; identity.md section 5
BATCH_SIZE_MAX: Final = 64
DEVICES_MAX: Final = 16  # devices of one person; identity.md section 3
REVOKED_DEVICES_MAX: Final = 64
KEY_BUNDLE_LISTS_BYTES_MAX: Final = 32 * 1024  # bytes of all device lists in a key bundle
KEY_BUNDLE_LISTS_MAX: Final = 64
PLAIN_KEY_BUNDLE_BYTES_MAX: Final = 96 * 1024
# before it is encrypted, a key bundle is padded to the first of these sizes in which it fits
PADDED_KEY_BUNDLE_SIZES_BYTES: Final = tuple(size * 1024 for size in (16, 32, 64, 100))
CAPTION_CHARS_MAX: Final = 4096
# an invite admits this many first letters for each person that it is for
INVITE_USES_PER_PERSON: Final = 10
INVITE_DAYS: Final = 30
INVITE_PEOPLE_MAX: Final = 64  # one invite link is for at most this many people
PREKEY_ID_BYTES: Final = 8
# one-time keys of one device; a relay keeps no more, and vodozemac makes no more at once
ONE_TIME_KEYS_MAX: Final = 50
# this device keeps this many of its X-Wing keys for each other device
XWING_KEYS_PER_PEER_MAX: Final = 64
# a letter between two devices may arrive at most this many positions out of order
LETTER_COUNTER_WINDOW_SIZE: Final = 64
# At most this many sessions are kept with each device: both sides may begin one at the same time,
# and letters in older sessions may still arrive.
SESSIONS_PER_DEVICE_MAX: Final = 4
# send tokens that are issued to one device at a time; letter.md section 9
TOKEN_RANGE_SIZE: Final = 64
TOKENS_LEFT_MIN: Final = 32  # when fewer tokens than this are left, more are issued
TOKEN_RANGE_UNUSED_MAX: Final = 256  # unused tokens that are registered for one device
TOKEN_RANGE_SKIPPED_MAX: Final = 64  # older, skipped tokens that stay valid
# a token range is replaced once this many tokens have been derived from its seed
TOKEN_RANGE_INDEXES_MAX: Final = 4096
# a device that used few of its tokens gets more only after this many hours
TOKEN_RANGE_TOP_UP_HOURS: Final = 24
TOKEN_RANGE_DAYS: Final = 90  # a token range is replaced after this many days
TOKEN_RANGE_FIRST_INDEX_MAX: Final = 1 << 53  # the highest first index of a token range
# a device with this many replaced token ranges that are still valid gets no new one
REPLACED_TOKEN_RANGES_MAX: Final = 4
REPLACED_TOKEN_RANGE_DAYS: Final = 7  # a replaced token range stays valid for this many days
# --- the relay: docs/spec/relay.md -------------------------------------------------------------
PROTOCOL_FLOOR: Final = 2  # the oldest protocol version that a relay still speaks
PROTOCOL_NEWEST: Final = 2
TOKEN_BYTES: Final = 32
TOKEN_HASH_BYTES: Final = 32
SHARE_BYTES: Final = 32  # content.md section 3
OPENING_ATTEMPT_BYTES: Final = 16
SEALED_LETTER_BYTES_MAX: Final = 160 * 1024
ENCRYPTED_KEY_BUNDLE_BYTES_MAX: Final = 128 * 1024
# an X-Wing prekey takes 7 kB, since it includes the signature on its batch
PREKEY_BYTES_MAX: Final = 8 * 1024
BLOB_BYTES_MAX: Final = 4 * 1024**3
BLOBS_PER_ENVELOPE_MAX: Final = 65  # 64 files, and one blob that lists them (the message's frame)
PREKEY_CLAIMS_PER_HOUR_MAX: Final = 20
# requests for prekeys in an hour with a token that admits a single envelope
SINGLE_USE_TOKEN_CLAIMS_PER_HOUR_MAX: Final = 4
OPENINGS_PER_SHARE_MAX: Final = 1000
WAKE_REQUEST_S_MAX: Final = 60  # a request may wait for a letter at most this many seconds
# Our devices' requests wait for a letter this long, which is less than the timeout of their HTTP
# client.
WAKE_REQUEST_S: Final = 20
ENVELOPES_PER_PAGE_MAX: Final = 50  # envelopes in one answer
# a large transfer is aborted if it is slower than this many bytes in TRANSFER_INTERVAL_S (1 KiB/s)
TRANSFER_BYTES_MIN_PER_INTERVAL: Final = 60 * 1024
TRANSFER_INTERVAL_S: Final = 60.0
# A random pause of up to this many seconds separates requests about this device from letters to
# others (relay.md section 14).
REQUEST_PAUSE_S_MAX: Final = 3.0
# a page of envelopes is full once their sealed bytes reach this size
ENVELOPE_PAGE_FULL_BYTES: Final = 512 * 1024
# --- limits of one mailbox: docs/spec/relay.md section 9, carry/send_tokens.py -------------------
# waiting letters of one mailbox, enough for 66 a day for a month; they take up to 313 MiB
LETTERS_WAITING_MAX: Final = 2000
# shares of waiting and of fetched letters, enough for 333 a day for a month; a share is what the
# relay keeps of the key material of a letter's content (content.md section 3)
SHARES_PER_MAILBOX_MAX: Final = 10_000
# shares whose openings are counted together: twice the devices of a person. The number is small,
# because ending a group reads all of its shares.
SHARES_PER_GROUP_MAX: Final = 32
# blobs that no envelope refers to yet, including unfinished uploads
UNREFERENCED_BLOBS_MAX: Final = 1000
# bytes of these blobs, enough for two of the largest files
UNREFERENCED_BLOB_BYTES_MAX: Final = 8 * 1024**3
MAILBOX_BLOBS_MAX: Final = 10_000
MAILBOX_BYTES_MAX: Final = 16 * 1024**3
# tokens registered at one mailbox: for devices that may write to it, for open invites, as padding
TOKENS_PER_MAILBOX_MAX: Final = 65_536
TOKEN_BATCH_MAX: Final = 4096  # hashes of tokens that one request adds or drops
# bytes that are being uploaded with one token at the same time
UPLOAD_BYTES_PER_TOKEN_MAX: Final = 8 * 1024**3
# more than the 16 devices of a key bundle, because the keys of replaced devices stay
PREKEY_DEVICES_MAX: Final = 64
# --- what the relay keeps: docs/spec/relay.md section 8, carry/expire.py -----------------------
EXPIRY_DAYS_MAX: Final = 30
TOMBSTONE_DAYS: Final = 30
USED_KEY_KEPT_DAYS: Final = 30
UNREFERENCED_BLOB_HOURS: Final = 24
# a request cannot arrive later than this many hours after it was sent
REQUEST_IN_TRANSIT_HOURS_MAX: Final = 1
# if the clock is more than this many days ahead of the last clean-up, nothing is deleted for now
CLOCK_JUMP_DAYS_MAX: Final = 2
# a clock that jumped is trusted after it has run this many minutes without another jump
CLOCK_TRUSTED_AFTER_MINUTES: Final = 60
# --- the lock of a vault: docs/spec/lock.md ------------------------------------------------------
UNLOCK_TRIES_MAX: Final = 10  # attempts in a row that a relay allows with wrong passphrases
# earlier unlock tokens that a vault keeps, in case a relay is restored from a backup
UNLOCK_TOKENS_KEPT: Final = 8
VAULT_GENERATION_MAX: Final = 2**53 - 1  # the largest integer that a JSON number represents exactly
UNLOCK_NUMBER_BYTES: Final = 16
# the report of an unlock also names the newest earlier unlocks whose reports got no answer, at most
# this many
UNANSWERED_UNLOCKS_MAX: Final = 128
# mailboxes about which one device informs its owner's other devices; devices.md section 5
MAILBOXES_PER_DEVICE_MAX: Final = 8
# A mailbox that was prepared for a move to another relay is kept this many days after the move was
# abandoned.
PREPARED_MAILBOX_DAYS: Final = 14
# after a move to another relay, the mailbox at the old relay is read for this many days
FORMER_MAILBOX_DAYS: Final = 30
AWAITING_DEVICE_LIST_DAYS_MAX: Final = (
    7  # a letter waits this many days for the device list that it names
)
# the id of a deleted mailbox cannot be used again for this many days
DELETED_MAILBOX_DAYS: Final = 30
OFFLINE_UNLOCK_HOURS_MAX: Final = 168
# --- people: docs/spec/people.md -----------------------------------------------------------------
CIRCLE_PEOPLE_MAX: Final = 256
# after this many days without contact, a device may be in somebody else's hands
SILENT_DEVICE_DAYS: Final = 21
KEY_COMPARISON_HOURS_MAX: Final = (
    24  # a comparison of keys stays open for this many hours after it was begun
)
# --- devices: docs/spec/devices.md ---------------------------------------------------------------
LINKING_MINUTES_MAX: Final = 10  # linking a device may take at most this many minutes
LINK_TOKEN_USES_MAX: Final = 3  # the token in a link code admits this many letters
# within 24 hours, a device list that a letter names is requested at most this often
DEVICE_LIST_REQUESTS_PER_DAY_MAX: Final = 3
# a new device borrows this many of another device's send tokens for its first letters to each
# device of a contact
LENT_TOKENS_PER_DEVICE: Final = 2
