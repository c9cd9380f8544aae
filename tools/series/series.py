#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The workshop's tool: entries in patches/ to a kernel tree, and back, and to mail."""

import argparse
import os
import signal
import sys

import base
import check
import foreign
import mail
import save
import tree
from gitio import Stop

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def options():
    parser = argparse.ArgumentParser(prog="series", description=__doc__)
    parser.add_argument("--root", default=ROOT, help="the repository (default: where the tool is)")
    parser.add_argument("--build", help="the build directory (default: ROOT/build or $BUILD)")
    sub = parser.add_subparsers(dest="command", required=True)
    sub.add_parser("fetch", help="find or fetch the base's package and verify it")
    one = sub.add_parser("tree", help="fetch, unpack, base commit, one commit per entry")
    one.add_argument("--kernel-tree", help="somebody's own git tree to put the series on")
    one = sub.add_parser("save", help="edits in the tree back into the entries")
    one.add_argument("--patch", help="the entry that gets the edits")
    one = sub.add_parser("mail", help="mail for git am and git send-email, proven")
    one.add_argument("--version", type=int, default=1)
    one.add_argument("--kernel-tree", help="somebody's own git tree to make the mail for")
    one = sub.add_parser("bump", help="move the series to a new base")
    one.add_argument("lock", help="the new base.lock")
    sub.add_parser("sweep", help="remove what killed runs left, and objects in the tree")
    sub.add_parser("unsaved", help="fail if the tree has edits that no entry has")
    sub.add_parser("check", help="the rules of the entries (KTAP)")
    one = sub.add_parser("path", help="print a path: base, build, tree")
    one.add_argument("what", choices=("base", "build", "tree"))
    return parser.parse_args()


def main():
    args = options()
    build = args.build or os.environ.get("BUILD") or os.path.join(args.root, "build")
    shop = tree.Shop(args.root, build)
    if args.command != "path":
        shop.hold()
    if args.command == "fetch":
        base.fetch(shop.lock, shop.build, shop.root)
    elif args.command == "tree":
        if args.kernel_tree:
            return foreign.make(shop, args.kernel_tree)
        tree.make(shop)
    elif args.command == "save":
        save.save(shop, args.patch or None)
    elif args.command == "mail":
        if args.kernel_tree:
            return foreign.mail(shop, args.kernel_tree, args.version)
        mail.make(shop, args.version)
    elif args.command == "bump":
        save.bump(shop, args.lock)
    elif args.command == "sweep":
        tree.sweep(shop)
    elif args.command == "unsaved":
        tree.refuse_unsaved(shop)
    elif args.command == "check":
        return check.run(shop)
    elif args.command == "path":
        print({"base": shop.lock.version, "build": shop.build, "tree": shop.path}[args.what])
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    # So that what is half done is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Stop as stop:
        print("series: %s" % stop, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("series: interrupted", file=sys.stderr)
        sys.exit(130)
