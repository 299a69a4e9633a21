// SPDX-License-Identifier: MIT

package pyeval

// ObjectStore is what a datastore has that can hold values which are not text: numbers, lists, dicts ... A literal is what
// Python's repr writes for the value; reading such a variable as text gives the same, which is also its str.
type ObjectStore interface {
	// Object gives the value of a variable (flag "") or of a flag; ok is false when it is text, None or not set.
	Object(name, flag string) (literal string, ok bool)
	// SetObject is setVar (flag "") or setVarFlag with a value that is not text; "None" takes the value away.
	SetObject(name, flag, literal string) error
}

// ReadMode says how getVar and getVarFlag read.
type ReadMode struct{ Expand, NoWeakDefault, Parsing bool }

// Value is what a variable or a flag holds.
type Value struct {
	Text   string // the text, or an object's literal
	Set    bool   // false: Python sees None
	Object bool   // Text is a literal; see [ObjectStore]
}

// Flag is one flag of a variable.
type Flag struct {
	Name string
	Value
}

// Reader is what a datastore has that knows all ways of reading.
type Reader interface {
	// Read is getVar (flag "") or getVarFlag.
	Read(name, flag string, how ReadMode) (Value, error)
	// Flags are the flags that are not internal, unexpanded, in the order in which they were made.
	Flags(name string) []Flag
}
