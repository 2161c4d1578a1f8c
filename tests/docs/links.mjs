// No link of a document leads nowhere, as far as can be seen from here: files and anchors of the project are there, and
// addresses elsewhere are well formed.

import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { anchors, documents, links, read, root } from "./markdown.mjs";

const repository = /^repository = "(.*)"$/m.exec(read("Cargo.toml"))?.[1];
/** Addresses that must work where there is no file beside the document: in a package's pages. */
const absoluteOnly = new Set(["pkg/README.md", "src/README.md", "CHANGELOG.md"]);

function wrong(file, link) {
  if (/^[a-z]+:/.test(link)) {
    if (/[\s<>]/.test(link) || !URL.canParse(link)) return "is not well formed";
    const { protocol, hostname, pathname, hash } = new URL(link);
    if (protocol !== "https:" && hostname !== "localhost") return "is not https";
    if (!link.startsWith(`${repository}/`)) return;
    const inside = /^\/(?:blob|tree)\/main\/(.+)$/.exec(pathname.slice(new URL(repository).pathname.length));
    if (inside) return wrongTarget(decodeURI(inside[1]), hash.slice(1));
    return /^\/(issues|security|releases)(\/|$)/.test(pathname.slice(new URL(repository).pathname.length))
      ? undefined
      : "is no place of the repository";
  }
  if (link.startsWith("#")) return wrongTarget(file, link.slice(1));
  if (absoluteOnly.has(file)) return "is relative, in a document that is read elsewhere";
  const [target, anchor = ""] = link.split("#");
  return wrongTarget(path.posix.join(path.posix.dirname(file), decodeURI(target)), anchor);
}

function wrongTarget(target, anchor) {
  const full = path.join(root, target);
  if (target.startsWith("..") || !existsSync(full)) return `: there is no ${target}`;
  if (!anchor || !target.endsWith(".md")) return;
  if (!statSync(full).isFile() || !anchors(target).has(anchor)) return `: ${target} has no #${anchor}`;
}

export default {
  "every link leads somewhere"() {
    let seen = 0;
    const dead = documents().flatMap((file) =>
      links(file).flatMap((link) => {
        seen++;
        const why = wrong(file, link);
        return why ? [`${file}: ${link} ${why}`] : [];
      }),
    );
    assert.deepEqual(dead, []);
    assert.ok(seen > 20, `${seen} links`);
  },

  "a dead link is found"() {
    assert.match(wrong("README.md", "docs/no-such.md"), /there is no/);
    assert.match(wrong("README.md", "HACKING.md#no-such"), /has no #no-such/);
    assert.match(wrong("pkg/README.md", "../HACKING.md"), /relative/);
    assert.match(wrong("pkg/README.md", `${repository}/blob/main/no-such.md`), /there is no/);
    assert.match(wrong("README.md", "http://example.com/"), /not https/);
    assert.equal(wrong("README.md", "HACKING.md#the-house"), undefined);
  },

  "both packages name the same places"() {
    const pkg = JSON.parse(read("pkg/package.json"));
    const cargo = (name) => new RegExp(`^${name} = "(.*)"$`, "m").exec(read("Cargo.toml"))?.[1];
    assert.equal(pkg.repository.url, `git+${repository}.git`);
    assert.equal(pkg.bugs.url, `${repository}/issues`);
    assert.equal(pkg.homepage, cargo("homepage"));
    assert.ok(cargo("documentation").startsWith(cargo("homepage")));
    assert.equal(pkg.version, cargo("version"));
  },
};
