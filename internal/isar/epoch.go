package isar

import (
	"strconv"
	"time"

	"n3x/internal/diag"
)

// Epoch is SOURCE_DATE_EPOCH: the newest time that a file made by this task may bear.
func (c *Call) Epoch() (time.Time, error) {
	s, err := c.Value("SOURCE_DATE_EPOCH")
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, diag.Userf(c.Pos, "SOURCE_DATE_EPOCH is %q, not a number of seconds since 1970", s).WithHint("set it to what `git log -1 --format=%%ct` prints, or unset it")
	}
	return time.Unix(n, 0), nil
}
