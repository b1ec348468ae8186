"""Every number that a document fixes and that more than one module needs, with its source.

A constant that only one algorithm knows stays in that algorithm's module.
"""

from typing import Final

# --- pictures: docs/spec/pictures.md -----------------------------------------------------------
PICTURE_PIXELS_MAX: Final = 120_000_000  # a decoded picture may take 360 MB, no more
CLIP_PIXELS_MAX: Final = 9_437_184  # of one frame: 4,096 x 2,304; docs/spec/clip.md
CLIP_LENGTH_S_MAX: Final = 3600.0
SOUND_LENGTH_S_MAX: Final = 1200.0  # docs/spec/sound.md
SOUND_RATE_HZ_MAX: Final = 96_000
MARK_SIDE_PX_MIN: Final = 64  # below this no mark is heard (TRACE: thumbnails of 64 px fail)
# --- trace: docs/spec/mark.md ------------------------------------------------------------------
ALPHA: Final = 1e-6  # accepted chance of naming any innocent copy; docs/decisions/0002
SEED_BYTES: Final = 32
COPY_CONTEXT: Final = b"entrenous/1 mark copy"  # key stream of one copy's chips; spec/mark.md
DITHER_CONTEXT: Final = b"entrenous/1 mark dither"  # key stream of a message's shared dither
CLIP_CONTEXT: Final = b"entrenous/1 mark clip"  # of one copy's chips at a node; spec/clip.md
SOUND_CONTEXT: Final = b"entrenous/1 mark sound"  # of one copy of a sound; spec/sound.md
PILOT_CONTEXT: Final = b"entrenous/1 mark pilot"  # of the chips at a node that all copies share
LABEL_CHARS_MAX: Final = 200  # what a sender calls one recipient of a marked copy
LABELS_MAX: Final = 10_000  # recipients of one marked picture
# --- stop: docs/spec/gate.md -------------------------------------------------------------------
PDQ_RADIUS: Final = 31  # Meta's recommended match distance, in bits
PDQ_QUALITY_MIN: Final = 50  # below, flat pictures match each other
FRAMES_KEPT_MAX: Final = 240  # of a clip that was let through; docs/spec/gate.md 11.5
PDQ_BYTES: Final = 32
PART_QUALITY_MIN: Final = 20  # of a view of a part: it is at most held, so less detail will do
WINDOW_QUALITY_MIN: Final = 32  # of a registered window; docs/spec/gate.md section 3
PARTS_MAX: Final = 600  # hashes of windows that one claim may carry; a device sends at most 525
# A gate decodes JPEGs no larger than its looks need: whole pictures (bench.stopping.shrunk), and
# windows and what is inside a frame (STOP measurements).
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
# A message that nobody opens expires after this, unless said otherwise; relays take a day more, so
# that a clock which is off by some hours does not matter.
DAYS_TO_OPEN: Final = 29
PICTURES_MAX: Final = 64  # files of one message; content.md section 1
TEXT_CHARS_MAX: Final = 16_384
UNDO_S: Final = 10  # for which nothing of a message leaves, unless said otherwise
UNDO_S_MAX: Final = 3600
RESUMED_BYTES_MIN: Final = 1024 * 1024  # of a copy's blobs: less than that is sent again whole
REACTION_BYTES_MAX: Final = 32
REQUEST_CHARS_MAX: Final = 280
RECEIPTS_MAX: Final = 64  # in one letter
BATCH_SIZE_MAX: Final = 64  # statements that one signature of a device covers; identity.md 5
DEVICES_MAX: Final = 16  # of one person; identity.md section 3
REVOKED_MAX: Final = 64
LIST_BYTES_MAX: Final = 32 * 1024  # all statements of a card
LISTS_MAX: Final = 64
PLAIN_CARD_BYTES_MAX: Final = 96 * 1024
SHOWN_CARD_SIZES: Final = tuple(size * 1024 for size in (16, 32, 64, 100))  # before it is sealed
CAPTION_CHARS_MAX: Final = 4096
INVITE_USES: Final = 10  # first letters that one invite admits for each person it is made for
INVITE_DAYS: Final = 30
INVITE_PEOPLE_MAX: Final = 64  # whom one link can be made for
KEY_ID_BYTES: Final = 8
ONE_TIME_KEYS: Final = 50  # of one device; a relay keeps no more, vodozemac makes no more at once
OWN_KEYS_PER_PEER: Final = 64  # X-Wing keys kept for one peer
COUNTER_WINDOW: Final = 64  # how far letters of one pair may arrive out of order
SESSIONS_MAX: Final = 4  # both sides may begin one at the same moment; older ones run out
WINDOW_TOKENS: Final = 64  # that one device is told of at once; letter.md section 9
WINDOW_LOW: Final = 32  # with fewer left, it is told of more
WINDOW_AHEAD_MAX: Final = 256  # registered for one device and not used
WINDOW_SKIPPED_MAX: Final = 64  # tokens that later ones overtook and that still hold
WINDOW_SPAN: Final = 4096  # indexes of one seed, after which a window is replaced
WINDOW_WAIT_HOURS: Final = 24  # until who used few of the last ones is told of more
WINDOW_DAYS: Final = 90  # after which a window is replaced
WINDOW_FIRST_MAX: Final = 1 << 53  # that somebody may begin a window of hers with
GREETED_ANEW_MAX: Final = 4  # replaced windows of a device that still hold: then it gets no other
OLD_WINDOW_DAYS: Final = 7  # that one which was replaced still holds
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
CLAIMS_PER_HOUR: Final = 20
CLAIMS_OF_ONE_USE: Final = 4  # in an hour, of a token that admits one envelope
OPENS_MAX: Final = 1000
WAKE_S_MAX: Final = 60  # how long a device may wait for a letter in one request
WAKE_ASK_S: Final = 20  # how long ours does: less than its client waits for any answer
PAGE_MAX: Final = 50  # envelopes in one answer
PACE_BYTES_MIN: Final = 60 * 1024  # of what is large in PACE_S, else both sides give it up: 1 KiB/s
PACE_S: Final = 60.0
PAUSE_S: Final = 3.0  # between own errands and what is sent, at most (relay.md section 14)
PAGE_FULL_BYTES: Final = 512 * 1024  # sealed bytes after which it ends, however few they are
# --- what one mailbox may hold: docs/spec/relay.md section 9, carry/send_tokens.py ---
LETTERS_WAITING_MAX: Final = 2000  # 66 a day for a month; at most 313 MiB
SHARES_MAX: Final = 10_000  # of letters that wait or were fetched; 333 a day for a month
GROUP_SHARES_MAX: Final = 32  # twice a person's devices; what ends a group reads all of them
LOOSE_BLOBS_MAX: Final = 1000  # that no envelope names yet, with those on their way
LOOSE_BYTES_MAX: Final = 8 * 1024**3  # two of the largest files
MAILBOX_BLOBS_MAX: Final = 10_000
MAILBOX_BYTES_MAX: Final = 16 * 1024**3
TOKENS_MAX: Final = 65_536  # windows of every device that may write, padding, open invites
TOKEN_BATCH_MAX: Final = 4096  # locks that one request adds or drops
TOKEN_BYTES_COMING_MAX: Final = 8 * 1024**3  # that one token brings at the same time
PREKEY_DEVICES_MAX: Final = 64  # a card names 16; those that were replaced leave their keys
# --- what the relay keeps: docs/spec/relay.md section 8, carry/expire.py -----------------------
EXPIRY_DAYS_MAX: Final = 30
TOMBSTONE_DAYS: Final = 30
SPENT_KEY_DAYS: Final = 30
LOOSE_BLOB_HOURS: Final = 24
ON_ITS_WAY_HOURS: Final = 1  # no connection keeps a request for longer
CLOCK_FAR_DAYS: Final = 2  # from the last sweep: a clock that says so ends nothing yet
CLOCK_BELIEVED_MINUTES: Final = 60  # for which it has to go on from there
# --- the lock of a vault: docs/spec/lock.md ------------------------------------------------------
UNLOCK_TRIES: Final = 10  # questions that a relay answers until the vault has opened
UNLOCK_TOKENS_KEPT: Final = 8  # earlier ones, for a relay that was restored
GENERATION_MAX: Final = 2**53 - 1  # what JSON numbers hold exactly
OPENING_BYTES: Final = 16
OPENINGS_MAX: Final = 128  # that one vault told of in a row without hearing an answer
HOMES_MAX: Final = 8  # that one device tells its siblings of; devices.md section 5
NEXT_HOME_DAYS: Final = 14  # a mailbox at a relay that no device leads to any more
OLD_HOME_DAYS: Final = 30  # how long the mailbox at the relay before is read after a move
LATE_DAYS: Final = 7  # that a letter is kept which names a list that we do not know yet
GONE_DAYS: Final = 30  # how long the name of a deleted mailbox stays taken
OFFLINE_HOURS_MAX: Final = 168
# --- people: docs/spec/people.md -----------------------------------------------------------------
CIRCLE_PEOPLE_MAX: Final = 256
STALE_DAYS: Final = 21  # a device that was not heard of for longer may be in other hands
COMPARE_HOURS: Final = 24  # how long one comparing of keys may take
# --- devices: docs/spec/devices.md ---------------------------------------------------------------
LINK_MINUTES: Final = 10  # how long one linking may take
LINK_USES: Final = 3  # letters that the token of a link code admits
LIST_TRIES: Final = 3  # times in 24 hours that a relay is asked for a list which a letter names
LENT_TOKENS: Final = 2  # for a new device's first letters to each of somebody's devices
