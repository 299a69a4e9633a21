// SPDX-License-Identifier: MIT

package pyeval

import (
	"fmt"

	"n3x/internal/diag"
)

// SkipRecipe is `raise bb.parse.SkipRecipe(reason)` (or SkipPackage): the recipe is not for this build.
type SkipRecipe struct {
	Pos    diag.Pos
	Reason string
}

func (e *SkipRecipe) Error() string { return "skipped: " + e.Reason }

// Fatal is bb.fatal(text), or an exception whose text was already shown (bb.BBHandledException).
type Fatal struct {
	Pos  diag.Pos
	Text string
}

func (e *Fatal) Error() string { return withPos(e.Pos, e.Text) }

// Exception is a Python exception that nothing caught, e.g. KeyError: 'x'.
type Exception struct {
	Pos  diag.Pos
	Type string // e.g. "KeyError", "bb.process.ExecutionError"
	Text string // str() of the exception
	Err  error  // the Go error behind it (a failed expansion, a file that is missing), if any
}

func (e *Exception) Error() string {
	if e.Text == "" {
		return withPos(e.Pos, e.Type)
	}
	return withPos(e.Pos, e.Type+": "+e.Text)
}

// Unwrap gives the cause.
func (e *Exception) Unwrap() error { return e.Err }

// Unsupported says that the answer needs more Python than this package has: nothing was guessed.
type Unsupported struct {
	Pos       diag.Pos
	Construct string // e.g. "the statement \"class\"" or "the method str.translate"
	Source    string // the source line, trimmed
}

func (e *Unsupported) Error() string {
	text := "python: " + e.Construct + " is not supported here"
	if e.Source != "" {
		text += " in: " + e.Source
	}
	return withPos(e.Pos, text)
}

// SyntaxError is text that is not Python.
type SyntaxError struct {
	Pos    diag.Pos
	Text   string
	Source string
}

func (e *SyntaxError) Error() string {
	text := "python syntax: " + e.Text
	if e.Source != "" {
		text += " in: " + e.Source
	}
	return withPos(e.Pos, text)
}

func withPos(pos diag.Pos, text string) string {
	if pos.IsZero() {
		return text
	}
	return fmt.Sprintf("%s: %s", pos, text)
}
