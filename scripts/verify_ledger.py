#!/usr/bin/env python3
"""Checks a Hearth ledger without Hearth: python3 verify_ledger.py LEDGER [SEQ:HASH]

Recomputes the SHA-256 chain of the egress rows as docs/design/0003-ledger-format.md
defines it, and compares its end with the table chain_head, with the file LEDGER.head
and, if given, with a head that you kept elsewhere.  Prints what is wrong, one line
each; exits 0 if nothing is, 1 if something is, 2 if the file can't be read.
"""
import hashlib
import os
import sqlite3
import sys

# The hashed columns in their order; the rest of a row is prev_hash and hash.
COLUMNS = ("seq kind call_seq at_unix_us request_id provider url model headers body rule "
           "reserved_usd_micro charged_usd_micro reported_usd_micro prompt_tokens cached_tokens "
           "completion_tokens http_status outcome bytes_in response_sha256").split()


def canonical(value):
    """Integers: 8 bytes, big-endian.  Texts and blobs: their length so, then their bytes."""
    if isinstance(value, int):
        return value.to_bytes(8, "big", signed=True)
    return len(value).to_bytes(8, "big", signed=True) + value


def check_row(row, before, calls, problems):
    seq, kind, call_seq = row["seq"], row["kind"].decode(), row["call_seq"]
    fields = b"".join(canonical(row[name]) for name in COLUMNS)
    domain = b"hearth-egress-v1\n"
    if "cache_write_tokens" in row.keys() and row["cache_write_tokens"] is not None:
        domain, fields = b"hearth-egress-v2\n", fields + canonical(row["cache_write_tokens"])
    digest = hashlib.sha256(domain + row["prev_hash"] + fields).digest()
    if seq != before[0] + 1:
        problems.append(f"row {seq} follows row {before[0]}: rows are missing")
    if row["prev_hash"] != before[1]:
        problems.append(f"row {seq} does not continue the row before it")
    if digest != row["hash"]:
        problems.append(f"row {seq} was changed: its hash does not fit its content")
    if kind == "send" and call_seq == seq:
        calls[seq] = None
    elif kind == "settle" and call_seq in calls and calls[call_seq] is None:
        calls[call_seq] = row["charged_usd_micro"]
    else:
        problems.append(f"row {seq}: a '{kind}' row of call {call_seq} does not belong here")


def verify(path, expected):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.text_factory = bytes
    database.row_factory = sqlite3.Row
    heads = [("the expected head", expected)] if expected else []
    if os.path.exists(path + ".head"):  # Before the snapshot: later rows only make it longer.
        seq, digest = open(path + ".head", encoding="ascii").read().split()
        heads.append((path + ".head", (int(seq), bytes.fromhex(digest))))
    database.execute("BEGIN")
    heads.append(("chain_head", tuple(database.execute("SELECT seq, hash FROM chain_head").fetchone())))

    before, seen, calls, problems = (0, bytes(32)), set(), {}, []
    for row in database.execute("SELECT * FROM egress ORDER BY seq"):
        check_row(row, before, calls, problems)
        before = (row["seq"], row["hash"])
        seen.update(name for name, head in heads if head == before)
    for name, head in heads:
        if head[0] != 0 and name not in seen:
            problems.append(f"{name} names row {head[0]}, which is missing or changed")
    if heads[-1][1][0] != before[0]:
        problems.append("chain_head does not name the last row")
    return before, calls, problems


def main():
    expected = None
    if len(sys.argv) == 3:
        seq, digest = sys.argv[2].split(":")
        expected = (int(seq), bytes.fromhex(digest))
    elif len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        head, calls, problems = verify(sys.argv[1], expected)
    except (sqlite3.Error, OSError, ValueError, TypeError, AttributeError) as error:
        print(f"{sys.argv[1]}: can't be read as a ledger: {error}")
        return 2
    for problem in problems:
        print(problem)
    settled = [charge for charge in calls.values() if charge is not None]
    print(f"{head[0]} rows, {len(calls)} calls, {len(calls) - len(settled)} open, "
          f"{sum(settled) / 1e6:.6f} USD charged, head {head[0]}:{head[1].hex()}: "
          + ("FAILED" if problems else "holds"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
