// SPDX-License-Identifier: MIT

package pyeval

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/uuid"
	"go.starlark.net/starlark"
)

// persistTable is a table of bb.persist_data: what BitBake has written into the build folder and, on top of it, what metadata
// has set during the life of the interpreter. Nothing is written to the folder.
type persistTable struct {
	opaque
	values map[string]string // guarded by the interpreter's lock
}

func (*persistTable) String() string { return "<SQLTable>" }
func (*persistTable) Type() string   { return "SQLTable" }

// bbPersist is bb.persist_data.persist.
func bbPersist(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	domain, err := a.wantStr(a.pos[0])
	if err != nil {
		return nil, err
	}
	d, ok := a.pos[1].(*data)
	if !ok {
		return nil, unsupported("bb.persist_data.persist() without d")
	}
	dir := ""
	for _, name := range []string{"PERSISTENT_DIR", "CACHE"} {
		if dir != "" {
			break
		}
		if dir, _, err = d.vars.Var(name, true); err != nil {
			return nil, fromVars(err)
		}
	}
	if !strings.HasPrefix(dir, "/") {
		return nil, unsupported("bb.persist_data.persist() with the folder %q", dir)
	}
	r.keeps = true
	file := strings.TrimSuffix(dir, "/") + "/bb_persist_data.sqlite3"
	r.site.Observe(LookedAtContent, file) // also when somebody else has read it before
	r.site.Observe(LookedAtFile, file+"-wal")
	r.in.mu.Lock()
	table := r.in.persisted[file+"\x00"+domain]
	r.in.mu.Unlock()
	if table != nil {
		return table, nil
	}
	values, err := r.readPersisted(file, domain)
	if err != nil {
		return nil, err
	}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if table = r.in.persisted[file+"\x00"+domain]; table == nil {
		table = &persistTable{values: values}
		r.in.persisted[file+"\x00"+domain] = table
	}
	return table, nil
}

// readPersisted reads a table of the database; none is an empty one. Changes that another process is still writing are refused.
func (r *run) readPersisted(file, domain string) (map[string]string, error) {
	content, err := r.files().ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, osException(err, file)
	}
	if info, err := r.files().Stat(file + "-wal"); err == nil && info.Size() > 0 {
		return nil, unsupported("the database %s while BitBake uses it", file)
	}
	values, err := sqliteTable(content, domain)
	if err != nil {
		return nil, unsupported("the database %s (%v)", file, err)
	}
	return values, nil
}

func (*persistTable) key(key starlark.Value) (string, error) {
	if name, ok := key.(starlark.String); ok {
		return string(name), nil
	}
	return "", raise(typeError, "Only string keys are supported")
}

func (t *persistTable) item(r *run, key starlark.Value) (starlark.Value, error) {
	name, err := t.key(key)
	if err != nil {
		return nil, err
	}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if v, ok := t.values[name]; ok {
		return text(v), nil
	}
	return nil, &raised{&exc{class: keyError, args: starlark.Tuple{key}}}
}

// set keeps a value. When several recipes set the same new key at once, the first one's stays, as code that looks first means it.
func (t *persistTable) set(r *run, key, value starlark.Value) error {
	name, err := t.key(key)
	if err != nil {
		return err
	}
	v, ok := value.(starlark.String)
	if !ok {
		return raise(typeError, "Only string values are supported")
	}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	t.values[name] = string(v)
	return nil
}

func (t *persistTable) has(r *run, key starlark.Value) (bool, error) {
	name, ok := key.(starlark.String)
	if !ok {
		return false, unsupported("a key of a persistent table that is a %s", typeName(key))
	}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	_, found := t.values[string(name)]
	return found, nil
}

func (t *persistTable) attr(name string) (starlark.Value, error) {
	if name != "get" {
		return nil, unsupported("the method %s of a persistent table", name)
	}
	return builtin(name, func(r *run, a args) (starlark.Value, error) {
		v, err := a.bind("key", "default?")
		if err != nil {
			return nil, err
		}
		if found, err := t.has(r, v[0]); found || err != nil {
			value, itemErr := t.item(r, v[0])
			return value, errors.Join(err, itemErr)
		}
		if v[1] != nil {
			return v[1], nil
		}
		return none()
	}), nil
}

// randomUUID is uuid.uuid4: nobody can tell it from a random one, but the same code in the same recipe and build folder gets
// the same, so that loading twice gives the same values. What is going to be kept in the build folder is the same for all recipes.
func randomUUID(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(0); err != nil {
		return nil, err
	}
	recipe := ""
	if !r.keeps {
		var err error
		if recipe, _, err = r.d.vars.Var("FILE", false); err != nil {
			return nil, fromVars(err)
		}
	}
	r.uuids++
	at := r.site.Pos.String()
	for i := range r.thread.CallStackDepth() {
		if p := r.thread.CallFrame(i).Pos; p.Line > 0 && p.Filename() != "" && p.Filename() != "<builtin>" {
			at = p.String()
			break
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "uuid4\x00%s\x00%s\x00%s\x00%d", r.in.opts.Cwd, recipe, at, r.uuids))
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return &uuidValue{id: id}, nil
}
