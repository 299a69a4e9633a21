package recipe

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// The events that are fired while metadata is read.
const (
	configParsed         = "bb.event.ConfigParsed"
	preDeferredInherits  = "bb.event.RecipePreDeferredInherits"
	recipePreFinalise    = "bb.event.RecipePreFinalise"
	recipeKeysExpanded   = "bb.event.RecipePostKeyExpansion"
	recipeTaskPreProcess = "bb.event.RecipeTaskPreProcess"
	recipeParsed         = "bb.event.RecipeParsed"
)

// fire runs the registered handlers of an event on the evaluator's store, in the order of addhandler, each once.
//
// more are attributes of the event beside its name, as pairs; the items of a list stand on lines of their own.
func (e *evaluator) fire(event string, more ...string) error {
	attributes := map[string]string{"name": event}
	for i := 0; i < len(more); i += 2 {
		attributes[more[i]] = more[i+1]
	}
	for i, h := range e.state.registered {
		if slices.ContainsFunc(e.state.registered[:i], func(f handler) bool { return f.name == h.name }) {
			continue
		}
		mask, _, err := e.d.VarFlag(h.name, "eventmask", true)
		if err != nil {
			return placed(h.pos, err)
		}
		if words := strings.FieldsFunc(mask, isSpace); len(words) > 0 && !slices.Contains(words, "*") && !slices.Contains(words, event) {
			continue
		}
		body, ok, err := e.d.Var(h.name, false)
		if err != nil {
			return placed(h.pos, err)
		}
		if !ok {
			return diag.Userf(h.pos, "event handler %s is not defined", h.name).
				WithHint("define it by `python %s() {` before addhandler", h.name)
		}
		pos := functionPos(e.d, h.name)
		if err := e.exec(body, pyeval.Site{Pos: pos, Name: e.handlerName(h.name), Event: attributes}); err != nil {
			return placed(pos, err)
		}
	}
	return nil
}

// handlerName is what BitBake calls a handler's function, which history shows: handlers are registered for each multiconfig.
func (e *evaluator) handlerName(name string) string {
	mc, _, _ := e.d.Var("BB_CURRENT_MC", true)
	return strings.ReplaceAll(mc, "-", "_") + name
}
