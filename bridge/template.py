"""The commented ``rialto.toml`` that ``rialto init`` writes."""

from __future__ import annotations

TEMPLATE = """\
# Rialto's configuration. `rialto check` says what is wrong with it. Relative paths start from this file's folder.

# The domain under which Rialto names people, rooms and endpoints. It never names anything under somebody else's.
domain = "{domain}"

# Everything durable: the router's journal, the endpoints' ledgers, keys and tokens (readable by their owner only).
data = "data"

# Of two files that name different members of a room the one with the higher revision is right.
# revision = 1

[router]
# Where endpoints in processes of their own reach the router (`rialto router`, `rialto endpoint NAME`).
listen = "127.0.0.1:8440"
# database = "postgresql://..."     # an SQLite file in `data` if absent
# retention_days = 30               # how long attachments, and what tells a repeated message, are kept

[http]
# /healthz and /metrics of `rialto run`, and what `rialto message`, `room` and `key` ask.
listen = "127.0.0.1:8441"

[log]
level = "info"                      # debug, info, warning, error
format = "auto"                     # console on a terminal, else json

[delivery]
# max_attempts = 12                 # then a message is parked: `rialto message list --state parked`
# max_age_hours = 24.0
# link_minutes = 5.0                # a file that is only linked to: then the link goes as text

[limits]
# sender_per_minute = 600           # messages of one native sender; beyond it they are refused and the sender is told
# sender_burst = 1000               # all bounds: specs/limits.md

[retention]
# excerpt_days = 7.0                # beginnings of texts, for quotes; 0 keeps none
# timeline_days = 30.0              # the steps of each message's status
# log_days = 90.0                   # who, where, when and how far, never what; native ids, for edits and reactions
# parked_days = 30.0                # what `rialto message replay` could send again

[authority]
# Whose grants make a process an endpoint of this bridge. `rialto init` makes the authority in `data`; on machines that
# do not share that folder say its public key here (`rialto key authority`): two while it is rotated.
# keys = ["..."]
# revoked = {{ sky = 1795824000 }}     # grants below this number are void (`rialto key revoke NAME`)
# grace_days = 30                   # how long old rooms bear members that have no grant yet

# --- one table for each account -------------------------------------------------------------------------------------

# XMPP: a component (XEP-0114) of your server. In Prosody:
#   Component "rialto.example.org"
#     component_secret = "..."
# [endpoint.xmpp]
# [endpoint.xmpp.account]
# component = "rialto.example.org"
# host = "127.0.0.1"
# port = 5347
# secret_file = "secrets/xmpp-component"

# Matrix: an application service. `rialto matrix registration` prints the file for `app_service_config_files`.
# [endpoint.matrix]
# listen = "127.0.0.1:8450"         # where the homeserver reaches us: the `url` below
# [endpoint.matrix.account]
# homeserver = "http://127.0.0.1:8008"
# server_name = "example.org"
# url = "http://127.0.0.1:8450"
# as_token_file = "secrets/matrix-as-token"
# hs_token_file = "secrets/matrix-hs-token"

# Business: an HTTP API in the shape of the WhatsApp Cloud API, for a shop's own software.
# [endpoint.business]
# listen = "127.0.0.1:8460"
# default = true                    # of several accounts of one network: its people keep the addresses network~id,
                                    # those of the account NAME are network.NAME~id
# [endpoint.business.account]
# waba_id = "2001"
# app_id = "3001"
# public_url = "http://127.0.0.1:8460"
# media_folder = "data/media"
# app_secret_file = "secrets/business-app-secret"
# access_token_file = "secrets/business-access-token"
# [[endpoint.business.account.numbers]]
# shop = "shop"
# phone_number_id = "1001"
# display_phone_number = "4930123456"
# verified_name = "The Shop"
# [[endpoint.business.account.templates]]
# name = "shipped"
# language = "en_US"
# body = "Dear {{{{1}}}}, your order is on its way."
# buttons = [{{ text = "Thank you" }}]

# --- rooms of several networks plumbed into one; the first member makes the room -------------------------------------

# [rooms]
# away_days = 30                    # who was not heard of for so long is taken out of rooms until it is back

# [[room]]
# id = "verona"
# name = "Verona"
# members = {{ xmpp = "verona@muc.example.org", matrix = "#rialto_verona:example.org" }}

# --- people with several addresses, each written network~id ----------------------------------------------------------

# [[person]]
# name = "Juliet"
# addresses = ["xmpp~juliet@example.org", "matrix~@juliet:example.org"]
"""


def render(domain: str) -> str:
    """Return the file's text for a domain."""
    return TEMPLATE.format(domain=domain)
