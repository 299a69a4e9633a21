// SPDX-License-Identifier: MIT

// Command packages compares two folders of .deb files, for example those that ISAR and n3x made of the same recipes:
//
//	go run ./bench/packages [-n EXAMPLES] [-ignore CLASS,CLASS] [-classes] A B
//
// It prints the differences by class, with at most EXAMPLES of each, and leaves with status 1 when there are any in a class
// that is not ignored. A and B may be work folders, pools of repositories or single .deb files.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"n3x/bench/packages/debdiff"
)

func main() {
	examples := flag.Int("n", 5, "differences to print of each class; -1 prints all")
	ignore := flag.String("ignore", "", "classes that are counted only, separated by commas")
	list := flag.Bool("classes", false, "list the classes")
	flag.Parse()
	if *list {
		for _, c := range debdiff.Classes() {
			fmt.Println(c)
		}
		return
	}
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "packages: two folders or two .deb files are needed")
		os.Exit(2)
	}
	r, err := compare(flag.Arg(0), flag.Arg(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(2)
	}
	if render(os.Stdout, r, *examples, strings.Split(*ignore, ",")) {
		os.Exit(1)
	}
}

func compare(a, b string) (debdiff.Report, error) {
	if strings.HasSuffix(a, ".deb") && strings.HasSuffix(b, ".deb") {
		d, err := debdiff.Packages(a, b)
		return debdiff.Report{Compared: 1, Differences: d}, err
	}
	return debdiff.Folders(a, b)
}

// render prints a report and tells whether something counts as different.
func render(w io.Writer, r debdiff.Report, examples int, ignored []string) bool {
	differ := false
	for _, class := range debdiff.Classes() {
		of := slices.DeleteFunc(slices.Clone(r.Differences), func(d debdiff.Difference) bool { return d.Class != class })
		if len(of) == 0 {
			continue
		}
		packages := map[string]bool{}
		for _, d := range of {
			packages[d.Package] = true
		}
		fmt.Fprintf(w, "%s: %d in %d packages\n", class, len(of), len(packages))
		if slices.Contains(ignored, string(class)) {
			continue
		}
		differ = true
		for i, d := range of {
			if i == examples {
				fmt.Fprintf(w, "\t... and %d more\n", len(of)-i)
				break
			}
			fmt.Fprintf(w, "\t%s\n", d)
		}
	}
	fmt.Fprintf(w, "%d packages compared, %d bit-identical, %d differences\n", r.Compared, r.Identical, len(r.Differences))
	return differ
}
