package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// day is how shadow(5) counts time.
const day = 24 * time.Hour

// shadowDates sets the days of the last password change that are of the moment, since the time began, to that of the epoch.
// The tools do so themselves by SOURCE_DATE_EPOCH, but only while it is not ahead of the clock.
func (i *installer) shadowDates(began time.Time) error {
	today := [2]int64{days(began), days(time.Now())}
	for _, name := range []string{"etc/shadow", "etc/shadow-"} {
		p := filepath.Join(i.draft.Root, name)
		text, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		before := make(map[string]bool)
		if old, err := i.o.Below.ReadFile("etc/shadow"); err == nil {
			for line := range strings.Lines(string(old)) {
				before[line] = true
			}
		}
		dated := shadowText(string(text), before, today, days(i.o.Epoch))
		if dated == string(text) {
			continue
		}
		if err := os.WriteFile(p, []byte(dated), 0o640); err != nil { // the file exists: owner and mode stay
			return err
		}
	}
	return nil
}

func days(t time.Time) int64 { return t.Unix() / int64(day/time.Second) }

// shadowText replaces the third field of each line that was not there before and has one of the days of today.
func shadowText(text string, before map[string]bool, today [2]int64, by int64) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if len(fields) < 3 || before[line] {
			continue
		}
		if d, err := strconv.ParseInt(fields[2], 10, 64); err == nil && today[0] <= d && d <= today[1] {
			fields[2] = strconv.FormatInt(by, 10)
			lines[i] = strings.Join(fields, ":")
		}
	}
	return strings.Join(lines, "")
}
