// SPDX-License-Identifier: MIT

package bootloader

import (
	"context"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"n3x/internal/diag"
)

// bootFileWord is one word of IMAGE_EFI_BOOT_FILES.
var bootFileWord = regexp.MustCompile(`[\w;\-./*]+`)

// addBootFiles copies what IMAGE_EFI_BOOT_FILES names: SOURCE, SOURCE;TARGET, or PATTERN;FOLDER, from the deploy folder.
// The variable with _uuid-<UUID> or _label-<LABEL> behind its name counts first.
func (s *esp) addBootFiles(context.Context) error {
	const name = "IMAGE_EFI_BOOT_FILES"
	value := ""
	for _, suffix := range []string{"_uuid-" + s.p.UUID, "_label-" + s.p.Label, ""} {
		if value = s.b.Var(name + suffix); value != "" {
			break
		}
	}
	for _, word := range bootFileWord.FindAllString(value, -1) {
		from, to, renamed := strings.Cut(word, ";")
		if from == "" || renamed && (to == "" || strings.Contains(to, ";")) {
			return diag.Userf(s.p.Pos, "%s: malformed entry %q", name, word).WithHint("write SOURCE or SOURCE;TARGET")
		}
		if !renamed {
			to = from
		}
		if err := s.addBootFile(name, from, to, renamed); err != nil {
			return err
		}
	}
	return nil
}

func (s *esp) addBootFile(variable, from, to string, renamed bool) error {
	if !strings.Contains(from, "*") {
		return s.copyFile(variable, from, to)
	}
	found, err := filepath.Glob(s.b.File(from))
	if err != nil {
		return diag.Userf(s.p.Pos, "%s: pattern %s: %w", variable, from, err)
	}
	for _, file := range found {
		target := path.Base(file)
		if renamed {
			target = path.Join(to, target)
		}
		rel, err := filepath.Rel(s.b.DeployDir(), file)
		if err != nil {
			return err
		}
		if err := s.copyFile(variable, rel, target); err != nil {
			return err
		}
	}
	return nil
}
