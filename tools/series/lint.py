#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The gate that other people's tools make: checkpatch, kernel-doc, codespell and more (KTAP)."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

import entry as entries
import mail
import tree
from gitio import Git, Stop, say, show, write_file

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SECTION = "IOMMU LIVE UPDATE"
OUR_SECTION = re.compile(r"\bIOMMU LIVE ?UPDATE\b")
TARGETS = "help setup fetch tree kernel demo test test-long check kunit selftest controls test-negative matrix bisect " \
          "series save bump clean distclean".split()
# A package mirror by name. apt knows which one this machine uses.
HOST = re.compile(r"\b(?:deb|ftp|cdn|security|archive|snapshot|mirrors?)[\w.-]*\.(?:debian|ubuntu|kernel)\.(?:org|com)\b")
KERNEL_ORG = "cdn." + "kernel.org"
# Mail and data that programs wrote have no place for an SPDX line: which file says it for them, and how.
MUTE = (".patch", ".gz", ".json")
SPEAKERS = {"patches/": ("patches/series", "Every file in this directory is under GPL-2.0."),
            "tools/judge/recordings/": ("tools/judge/README.md", "Every file in recordings/ is under GPL-2.0.")}


def run(command, cwd=None, data=None, env=None):
    """(status, output of both streams); a tool that is not there is an error."""
    show(command, cwd)
    try:
        done = subprocess.run(command, cwd=cwd, input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=dict(os.environ, LC_ALL="C.UTF-8", **(env or {})))
    except FileNotFoundError:
        raise Stop("%s is not installed: make setup" % command[0])
    return done.returncode, done.stdout.decode("utf-8", "replace")


def ignored(path):
    """[(type, entry or *)] that somebody gave a reason for."""
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            parts = line.split(None, 2)
            if len(parts) < 3:
                raise Stop("%s:%d: no reason given" % (path, number))
            found.append((parts[0], parts[1]))
    return found


def in_parallel(work, items):
    """What work() says of each, in order; it waits for programs, so threads do."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def checkpatch(kernel, patches, ignore):
    """patches is {entry: file}."""
    out, used = [], set()
    # The distribution's python3 first: it has the modules that spdxcheck.py imports.
    env = {"PATH": "/usr/bin:/bin:" + os.environ.get("PATH", "")}
    command = ["perl", "scripts/checkpatch.pl", "--strict", "--no-signoff", "--show-types",
               "--terse", "--no-summary", "--color=never"]
    said = in_parallel(lambda path: run(command + [path], cwd=kernel, env=env), patches.values())
    for name, (status, text) in zip(patches, said):
        seen = False
        for line in text.split("\n"):
            match = re.match(r"^.*?:(\d+): (ERROR|WARNING|CHECK):(\w+): (.*)$", line)
            if match:
                seen = True
                keys = [(match.group(3), name), (match.group(3), "*")]
                hit = [k for k in keys if k in ignore]
                used.update(hit)
                if not hit:
                    out.append("%s: %s:%s: %s (line %s)" % (name, match.group(2), match.group(3),
                                                            match.group(4), match.group(1)))
            elif line.strip():
                out.append("%s: checkpatch says: %s" % (name, line))
        if status and not seen:
            out.append("%s: checkpatch failed: %s" % (name, text.strip()[-200:]))
    out += ["checkpatch.ignore: %s %s is not needed any more" % k for k in ignore if k not in used]
    return out


def kernel_doc(kernel, files):
    out = []
    said = in_parallel(lambda path: run(["scripts/kernel-doc", "-none", "-Wall", path], cwd=kernel), files)
    for path, (status, text) in zip(files, said):
        out += [l for l in text.split("\n") if l.strip()]
        if status and not text.strip():
            out.append("%s: kernel-doc failed" % path)
    return out


def spelling(texts):
    """texts is {name: text}: what the series adds, not what it stands beside."""
    folder = tempfile.mkdtemp(prefix="series-spell-")
    try:
        for name, text in texts.items():
            path = os.path.join(folder, name.replace("/", "__"))
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        with open(os.path.join(HERE, "codespell.ignore"), encoding="utf-8") as file:
            words = [l.split()[0] for l in file if l.strip() and not l.startswith("#")]
        status, text = run(["codespell", "-L", ",".join(words), "."], cwd=folder)
        rows = [l[2:].replace("__", "/") for l in text.split("\n") if l.startswith("./")]
        return rows or (["codespell failed: " + text.strip()] if status else [])
    finally:
        shutil.rmtree(folder)


def shells(root, files):
    """-x follows sourced files; those of the kernel are found beside the copy in the tree."""
    out = []
    for path in files:
        status, text = run(["shellcheck", "-f", "gcc", "-x", "-P", "SCRIPTDIR", path], cwd=root)
        out += [l for l in text.split("\n") if l.strip()]
        if status and not text.strip():
            out.append("%s: shellcheck failed" % path)
    return out


def licences(root, files):
    """The SPDX line is the first, or the second after #!. Where none can stand, another file says it."""
    out, told = [], {}
    for path in files:
        if path.startswith("LICENSES/"):
            continue            # the texts themselves, which are compared with the kernel's
        with open(os.path.join(root, path), "rb") as file:
            head = [file.readline(), file.readline(), file.readline()]
        # COPYING is the kernel's, with the line below its first sentence.
        line = head[2] if path == "COPYING" else head[1] if head[0].startswith(b"#!") else head[0]
        if re.search(rb"SPDX-License-Identifier: (GPL-2\.0|\(GPL-2\.0)", line):
            continue
        place = [p for p in SPEAKERS if path.startswith(p)]
        if place and path.endswith(MUTE):
            if place[0] not in told:
                told[place[0]] = speaks(root, *SPEAKERS[place[0]])
            if not told[place[0]]:
                out.append("%s: %s does not say that it is under GPL-2.0" % (path, SPEAKERS[place[0]][0]))
        else:
            out.append("%s: no SPDX-License-Identifier: GPL-2.0 in its first line" % path)
    return out


def speaks(root, path, sentence):
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return re.search(r"(?m)^(# )?%s$" % re.escape(sentence), file.read())
    except FileNotFoundError:
        return None


def pythons(root, files):
    out = []
    for path in files:
        with open(os.path.join(root, path), "rb") as file:
            try:
                compile(file.read(), path, "exec")
            except (SyntaxError, ValueError) as error:
                out.append("%s: %s" % (path, error))
    return out


def hosts(root, files):
    out = []
    for path in files:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            out += ["%s:%d: names a package mirror: %s" % (path, n, m)
                    for n, line in enumerate(file, 1) for m in HOST.findall(line) if m != KERNEL_ORG]
    return out


def maintainers(kernel, paths):
    """Each new file is in a section of ours, their lines and places are in order."""
    with open(os.path.join(kernel, "MAINTAINERS"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    titles = [lines[i] for i in range(1, len(lines) - 1)
              if lines[i - 1] == "" and re.match(r"^[A-Z]:\t", lines[i + 1])]
    ours = [title for title in titles if OUR_SECTION.search(title)]
    out = []
    said = in_parallel(lambda path: run(["perl", "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback",
                                         "--sections", "-f", path], cwd=kernel), paths)
    for path, (_, text) in zip(paths, said):
        if not set(ours) & set(text.split("\n")):
            out.append("MAINTAINERS: no F: line of %s covers %s" % (SECTION, path))
    if SECTION not in ours:
        return out + ["MAINTAINERS: there is no section %s" % SECTION]
    for title in ours:
        out += section(kernel, lines, title, paths)
        at = titles.index(title)
        if not titles[at - 1].upper() < title.upper() < titles[at + 1].upper():
            out.append("MAINTAINERS: %s is not between %s and %s" % (title, titles[at - 1], titles[at + 1]))
    return out


def section(kernel, lines, title, paths):
    """What is wrong with the lines of one section."""
    begin = lines.index(title)
    ours = lines[begin:lines.index("", begin)]
    out = ["MAINTAINERS: %s covers no new file" % line[3:] for line in ours[1:]
           if line.startswith("F:\t") and not any(matches(line[3:], p) for p in paths)]
    folder = tempfile.mkdtemp(prefix="series-maintainers-")
    try:
        status, text = run(["perl", "scripts/parse-maintainers.pl", "--order", "--input=MAINTAINERS",
                            "--output=" + folder + "/all", "--section=" + folder + "/ours",
                            "^%s$" % re.escape(title)], cwd=kernel)
        if status:
            return out + ["parse-maintainers.pl: " + text.strip()]
        with open(folder + "/ours", encoding="utf-8") as file:
            if file.read().strip().split("\n") != ours:
                out.append("MAINTAINERS: parse-maintainers.pl --order would order the section's lines otherwise")
    finally:
        shutil.rmtree(folder)
    return out


def matches(pattern, path):
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return bool(re.match("^" + re.escape(pattern).replace(r"\*", "[^/]*") + "(/|$)", path))


def hidden(kernel, base_commit, root, paths):
    """In a kernel tree that took the series git sees each new file, and no program built from one."""
    folder = tempfile.mkdtemp(prefix="series-ignore-")
    try:
        git = Git(folder)
        git.raw("init", "-q")
        above = {""} | {os.path.dirname(p)[:i] for p in paths for i in range(len(p)) if p[i] == "/"}
        above |= {os.path.dirname(p) for p in paths}
        rules = {os.path.join(d, ".gitignore") for d in above}
        for path in rules:
            text = Git(kernel).blob("HEAD", path) or Git(kernel).blob(base_commit, path)
            if path in paths:
                with open(os.path.join(root, path), "rb") as file:
                    text = file.read()
            if text is not None:
                # Debian's tree hides all of it where upstream's shows the dot-files that it has.
                write_file(os.path.join(folder, path),
                           re.sub(rb"(?m)^/\*$", b"!.gitignore\n!.kunitconfig", text))
        status, text, err = git.call("check-ignore", "-v", "--no-index", "-z", "--stdin",
                                     data="\0".join(sorted(paths)).encode())
        if status > 1:
            raise Stop("git check-ignore: " + err.strip())
        rows = text.decode().split("\0")
        out = ["%s is hidden by %s:%s: %s" % (rows[i + 3], *rows[i:i + 3]) for i in range(0, len(rows) - 1, 4)
               if not rows[i + 2].startswith("!")]
        programs = sorted({p[:-2] + end for p in paths if p.endswith(".c") for end in
                           (("", ".o", ".d") if p.startswith("tools/testing/") else (".o",))})
        _, text, _ = git.call("check-ignore", "--no-index", "-z", "--stdin", data="\0".join(programs).encode())
        seen = set(text.decode().split("\0"))
        return out + ["%s would be seen by git status once it is built" % p for p in programs if p not in seen]
    finally:
        shutil.rmtree(folder)


def front_door(root):
    """The Makefile has the promised targets and no other; Kconfig is a link to the feature's own."""
    status, text = run(["make", "-s", "help"], cwd=root, env={"MAKEFLAGS": "", "MAKELEVEL": ""})
    have = re.findall(r"(?m)^  ([\w-]+) ", text)
    out = [] if not status and have == TARGETS else ["make help lists %s" % " ".join(have)]
    link = os.path.join(root, "Kconfig")
    if not os.path.islink(link) or not os.path.isfile(link):
        out.append("Kconfig is not a symbolic link to the feature's own Kconfig")
    with open(os.path.join(root, ".ci/run"), encoding="utf-8") as file:
        code = [l.strip() for l in file if l.strip() and not l.startswith("#")]
    if not code or code[-1] != "exec make test":
        out.append(".ci/run does not end in 'exec make test'")
    return out


def texts(root, kernel):
    """COPYING and the licences are there, the licences as the kernel has them."""
    out = [] if os.path.isfile(os.path.join(root, "COPYING")) else ["COPYING is missing"]
    for path in ("LICENSES/preferred/GPL-2.0", "LICENSES/exceptions/Linux-syscall-note"):
        try:
            with open(os.path.join(root, path), "rb") as ours, open(os.path.join(kernel, path), "rb") as theirs:
                if ours.read() != theirs.read():
                    out.append("%s differs from the kernel's" % path)
        except FileNotFoundError:
            out.append("%s is missing" % path)
    return out


def own_files(root):
    """Every file of the repository, as git sees it (ignored ones left out)."""
    rows = Git(root).raw("ls-files", "-z", "-co", "--exclude-standard").decode().split("\0")
    return sorted(p for p in set(rows) if p and os.path.isfile(os.path.join(root, p))
                  and not os.path.islink(os.path.join(root, p)))


def is_shell(root, path):
    with open(os.path.join(root, path), "rb") as file:
        return path.endswith(".sh") or bool(re.match(rb"^#!\s*/\S*\b(?:env )?(?:ba|da)?sh\b", file.readline()))


def gates(shop):
    """[(name, function)]"""
    root, kernel = shop.root, shop.path
    base_commit, items = tree.ensure(shop), shop.store.entries()
    made = tree.commits(shop.git, base_commit, shop.store, items)
    folder = os.path.join(shop.build, "check", "patches")
    files = mail.format_patches(shop.git, base_commit, made[-1], folder, 1)
    patches = {i.name: f for i, f in zip(items, files)}
    new = sorted(p for i in items for p in i.claims)
    own = own_files(root)
    added = {i.name: i.subject + "\n" + i.body + "\n" + "\n".join(
        l[1:] for hs in i.files.values() for h in hs for l in h.body if l[0] == "+") for i in items}
    prose = [p for p in own if not p.startswith(("LICENSES/", "patches/", "tools/judge/recordings/"))
             and not p.endswith((".gz", ".svg", "codespell.ignore"))]
    for path in prose + [p for p in own if p.startswith("patches/cover-letter")]:
        added[path] = shop.store.read(path).decode("utf-8", "surrogateescape")
    return (
        ("checkpatch", lambda: checkpatch(kernel, patches, ignored(os.path.join(HERE, "checkpatch.ignore")))),
        ("kernel-doc", lambda: kernel_doc(kernel, [p for p in new if p.endswith((".c", ".h"))])),
        ("codespell", lambda: spelling(added)),
        ("shellcheck", lambda: shells(root, [p for p in own if is_shell(root, p) and p not in new])
         + shells(kernel, [p for p in new if is_shell(root, p)])),
        ("spdx", lambda: licences(root, own)),
        ("licence-texts", lambda: texts(root, kernel)),
        ("maintainers", lambda: maintainers(kernel, new)),
        ("python", lambda: pythons(root, [p for p in own if p.endswith(".py")])),
        ("no-mirror-host", lambda: hosts(root, [p for p in own if not p.endswith(".gz")])),
        ("gitignore", lambda: hidden(kernel, base_commit, root, new)),
        ("front-door", lambda: front_door(root)),
        ("git-am", lambda: git_am(shop, base_commit, made, items)))


def git_am(shop, base_commit, made, items):
    mail.emit(shop, shop.git, base_commit, made, items, 1, shop.lock.trailer(),
              os.path.join(shop.build, "check", "mail"))
    return []


def main():
    shop = tree.Shop(ROOT, os.environ.get("BUILD") or os.path.join(HERE, "../../build"))
    shop.hold()
    rules = gates(shop)
    say("KTAP version 1\n1..%d" % len(rules))
    failed = 0
    for number, (name, gate) in enumerate(rules, 1):
        try:
            found = gate()
        except Stop as stop:
            found = [str(stop)]
        for line in found[:40]:
            say("# " + line.replace("\n", "\n# "))
        if len(found) > 40:
            say("# ... and %d more" % (len(found) - 40))
        say("%s %d lint.%s" % ("not ok" if found else "ok", number, name))
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    try:
        sys.exit(main())
    except Stop as stop:
        print("lint: %s" % stop, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
