// SPDX-License-Identifier: MIT

package pyeval

import (
	"math"

	"go.starlark.net/starlark"
)

// In Python True == 1 == 1.0 and they hash alike; in Starlark True is a key of its own. Every
// access to a dict or a set therefore goes through these functions.

// checkKey refuses what cannot be a key, or whose identity would be uncertain.
func checkKey(k starlark.Value) error {
	switch k := k.(type) {
	case *starlark.List, *starlark.Dict, *starlark.Set, *slice, *view:
		if v, ok := k.(*view); ok && v.kind == "dict_values" {
			return unsupported("a dict_values object as a key")
		}
		return raise(typeError, "unhashable type: '%s'", typeName(k))
	case starlark.Float:
		if math.IsNaN(float64(k)) {
			return unsupported("nan as a key")
		}
	case starlark.Tuple:
		for _, v := range k {
			if _, isBool := v.(starlark.Bool); isBool {
				return unsupported("a tuple with a bool as a key")
			}
			if err := checkKey(v); err != nil {
				return err
			}
		}
	case *exc, *iterator, *namespace, *data, *frame, *openFile, *rng, *pattern, *uuidValue, *structTime, *dictLike, *persistTable, *process:
		return unsupported("a %s object as a key", typeName(k))
	}
	return nil
}

// alias is the other value that is equal to k and that Starlark would tell apart, or nil.
func alias(k starlark.Value) starlark.Value {
	switch k := k.(type) {
	case starlark.Bool:
		return arithmetic(k)
	case starlark.Int:
		if n, ok := k.Int64(); ok && (n == 0 || n == 1) {
			return starlark.Bool(n == 1)
		}
	case starlark.Float:
		if k == 0 || k == 1 {
			return starlark.Bool(k == 1)
		}
	}
	return nil
}

// canonical is the key under which d already holds a value equal to k, or k.
func canonical(d *starlark.Dict, k starlark.Value) starlark.Value {
	if a := alias(k); a != nil {
		if _, found, err := d.Get(a); found && err == nil {
			return a
		}
	}
	return k
}

func getKey(d *starlark.Dict, k starlark.Value) (starlark.Value, bool, error) {
	if err := checkKey(k); err != nil {
		return nil, false, err
	}
	return d.Get(canonical(d, k))
}

func setKey(d *starlark.Dict, k, v starlark.Value) error {
	if err := checkKey(k); err != nil {
		return err
	}
	return frozen(d.SetKey(canonical(d, k), v))
}

func deleteKey(d *starlark.Dict, k starlark.Value) (starlark.Value, bool, error) {
	if err := checkKey(k); err != nil {
		return nil, false, err
	}
	v, found, err := d.Delete(canonical(d, k))
	return v, found, frozen(err)
}

// frozen explains the one way in which changing a container fails: a mutable default value of a
// function is shared between calls, and here between recipes.
func frozen(err error) error {
	if err != nil {
		return unsupported("changing a default value of a parameter")
	}
	return nil
}

func setCanonical(s *starlark.Set, k starlark.Value) starlark.Value {
	if a := alias(k); a != nil {
		if found, err := s.Has(a); found && err == nil {
			return a
		}
	}
	return k
}

func setHas(s *starlark.Set, k starlark.Value) (bool, error) {
	if err := checkKey(k); err != nil {
		return false, err
	}
	return s.Has(setCanonical(s, k))
}

func addItem(s *starlark.Set, k starlark.Value) error {
	if err := checkKey(k); err != nil {
		return err
	}
	return frozen(s.Insert(setCanonical(s, k)))
}

func makeSet(vs []starlark.Value) (*starlark.Set, error) {
	s := starlark.NewSet(len(vs))
	for _, v := range vs {
		if err := addItem(s, v); err != nil {
			return nil, err
		}
	}
	return s, nil
}
