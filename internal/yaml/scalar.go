package yaml

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Types of plain scalars, as YAML 1.1's type repository gives them and PyYAML implements them
// (https://yaml.org/type/). YAML 1.2, which the Go library follows, differs: there "on" is a string and 010 is ten.
var (
	boolWords = map[string]bool{
		"yes": true, "Yes": true, "YES": true, "no": false, "No": false, "NO": false,
		"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false,
		"on": true, "On": true, "ON": true, "off": false, "Off": false, "OFF": false,
	}
	intForm = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*|[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)

	floatForm = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)

	timeForm = regexp.MustCompile(`^\d\d\d\d-(?:\d\d-\d\d|\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)$`)
)

// plainScalar is the value of an unquoted scalar without a tag.
func plainScalar(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	}
	if b, ok := boolWords[s]; ok {
		return b
	}
	// Integers are tried after floats, because a sexagesimal float holds a sexagesimal integer.
	switch {
	case floatForm.MatchString(s):
		return floatValue(s)
	case intForm.MatchString(s):
		if v, ok := intValue(s); ok {
			return v
		}
	case timeForm.MatchString(s):
		return Timestamp(s)
	}
	return s
}

// intValue is the integer that s, which has the form of one, stands for; ok is false for "0b_" and the like.
func intValue(s string) (v any, ok bool) {
	digits := strings.ReplaceAll(s, "_", "")
	neg := strings.HasPrefix(digits, "-")
	digits = strings.TrimLeft(digits, "+-")
	n := new(big.Int)
	switch {
	case digits == "0":
	case strings.HasPrefix(digits, "0b"):
		_, ok = n.SetString(digits[2:], 2)
	case strings.HasPrefix(digits, "0x"):
		_, ok = n.SetString(digits[2:], 16)
	case strings.HasPrefix(digits, "0"):
		_, ok = n.SetString(digits, 8)
	case strings.Contains(digits, ":"):
		for part := range strings.SplitSeq(digits, ":") {
			d, _ := strconv.Atoi(part)
			n.Add(n.Mul(n, big.NewInt(60)), big.NewInt(int64(d)))
		}
		ok = true
	default:
		_, ok = n.SetString(digits, 10)
	}
	if !ok && digits != "0" {
		return nil, false
	}
	if neg {
		n.Neg(n)
	}
	if n.IsInt64() {
		return n.Int64(), true
	}
	return n, true
}

func floatValue(s string) float64 {
	t := strings.ToLower(strings.ReplaceAll(s, "_", ""))
	sign := 1.0
	if strings.HasPrefix(t, "-") {
		sign = -1
	}
	t = strings.TrimLeft(t, "+-")
	switch {
	case t == ".inf":
		return math.Inf(int(sign))
	case t == ".nan":
		return math.NaN()
	case strings.Contains(t, ":"):
		v := 0.0
		for part := range strings.SplitSeq(t, ":") {
			f, _ := strconv.ParseFloat(part, 64)
			v = v*60 + f
		}
		return sign * v
	}
	f, _ := strconv.ParseFloat(t, 64)
	return sign * f
}
