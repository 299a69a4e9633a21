// Package deb reads and writes Debian's file formats: deb822 paragraphs (control files, package indices, .sources)
// and binary packages (deb(5): an ar archive of debian-binary, control.tar and data.tar).
//
// Input are bytes that may come from anyone; nothing in them makes it panic, hang or take memory without bound.
// It refuses by name what it cannot read: bzip2 and lzma members, old (0.939) packages, unknown format versions.
// It writes packages whose bytes depend on nothing but what they hold.
package deb
