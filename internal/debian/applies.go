package debian

import (
	"slices"
	"strings"
)

// Applies reports whether a build relation counts on architecture arch (e.g. "amd64") with these build profiles
// (Debian Policy 7.1, https://wiki.debian.org/BuildProfileSpec).
func (r Relation) Applies(arch string, profiles []string) bool {
	return r.appliesToArch(arch) && r.appliesToProfiles(profiles)
}

func (r Relation) appliesToArch(arch string) bool {
	if len(r.Arches) == 0 {
		return true
	}
	negated := strings.HasPrefix(r.Arches[0], "!")
	for _, a := range r.Arches {
		if MatchArch(strings.TrimPrefix(a, "!"), arch) {
			return !strings.HasPrefix(a, "!")
		}
	}
	return negated
}

// appliesToProfiles: one of the lists must hold, and in it every word.
func (r Relation) appliesToProfiles(profiles []string) bool {
	if len(r.Profiles) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Profiles, func(list []string) bool {
		return !slices.ContainsFunc(list, func(p string) bool {
			name, negated := strings.CutPrefix(p, "!")
			return slices.Contains(profiles, name) == negated
		})
	})
}

// MatchArch reports whether an architecture is meant by pattern: its name or a wildcard such as "any", "linux-any",
// "any-arm64" or "gnu-any-any" (dpkg-architecture(1), --is).
func MatchArch(pattern, arch string) bool {
	if pattern == arch || pattern == "any" {
		return true
	}
	want := strings.Split(pattern, "-")
	if !slices.Contains(want, "any") || arch == "all" {
		return false
	}
	have := archTuple(arch)
	for len(want) < len(have) {
		want = append([]string{"any"}, want...)
	}
	return len(want) == len(have) && !slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool {
		return want[i] != "any" && want[i] != have[i]
	})
}

// archTuple is abi-libc-os-cpu of an architecture (dpkg's tupletable).
func archTuple(arch string) []string {
	switch arch {
	case "armhf":
		return []string{"eabihf", "gnu", "linux", "arm"}
	case "armel":
		return []string{"eabi", "gnu", "linux", "arm"}
	case "x32":
		return []string{"x32", "gnu", "linux", "amd64"}
	}
	t := []string{"base", "gnu", "linux"}
	parts := strings.Split(arch, "-")
	if len(parts) > len(t)+1 {
		return parts
	}
	return append(t[:len(t)+1-len(parts)], parts...)
}
