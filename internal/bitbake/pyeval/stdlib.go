// SPDX-License-Identifier: MIT

package pyeval

import (
	"math/big"
	"os/user"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.starlark.net/starlark"
)

// makeItertools has chain, which class code uses to join search paths.
func makeItertools() *module {
	return ns("itertools", map[string]impl{"chain": func(r *run, a args) (starlark.Value, error) {
		var current nextFunc
		rest := a.pos
		next := func() (starlark.Value, bool, error) {
			for {
				if current != nil {
					v, ok, err := current()
					if ok || err != nil {
						return v, ok, err
					}
				}
				if len(rest) == 0 {
					return nil, false, nil
				}
				var err error
				if current, err = r.iterate(rest[0]); err != nil {
					return nil, false, err
				}
				rest = rest[1:]
			}
		}
		return &iterator{kind: "itertools.chain", next: next}, nil
	}}, nil)
}

// makeCollections has counters, dicts with defaults and OrderedDict.fromkeys, the old way to drop duplicates in order.
func makeCollections() *module {
	ordered := &pyType{name: "OrderedDict", has: func(v starlark.Value) bool { d, ok := v.(*dictLike); return ok && d.kind == "OrderedDict" }}
	ordered.call = func(_ *run, a args) (starlark.Value, error) {
		if len(a.pos)+len(a.kw) > 0 {
			return nil, unsupported("collections.OrderedDict() with arguments")
		}
		return &dictLike{kind: "OrderedDict", dict: starlark.NewDict(0)}, nil
	}
	return ns("collections", map[string]impl{"Counter": newCounter, "defaultdict": newDefaultdict}, map[string]starlark.Value{"OrderedDict": ordered})
}

// makePwd looks users up in the host's database.
func makePwd() *module {
	entry := func(u *user.User, err error) (starlark.Value, error) {
		if err != nil {
			return nil, raise(keyError, "getpwuid(): uid not found")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &namespace{kind: "pwd.struct_passwd", attrs: map[string]starlark.Value{
			"pw_name": text(u.Username), "pw_dir": text(u.HomeDir), "pw_uid": number(uid), "pw_gid": number(gid),
		}}, nil
	}
	return ns("pwd", map[string]impl{
		"getpwuid": func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, err
			}
			uid, err := a.wantInt(a.pos[0], 0)
			if err != nil {
				return nil, err
			}
			return entry(user.LookupId(strconv.Itoa(uid)))
		},
	}, nil)
}

// osID is os.getuid and its like.
func osID(get func() int) impl {
	return func(_ *run, a args) (starlark.Value, error) { return number(get()), a.exactly(0) }
}

// makeUUID has the UUIDs that depend on nothing but their arguments.
func makeUUID() *module {
	values := map[string]starlark.Value{}
	for name, u := range map[string]uuid.UUID{"DNS": uuid.NameSpaceDNS, "URL": uuid.NameSpaceURL, "OID": uuid.NameSpaceOID, "X500": uuid.NameSpaceX500} {
		values["NAMESPACE_"+name] = &uuidValue{id: u}
	}
	return ns("uuid", map[string]impl{"UUID": newUUID, "uuid4": randomUUID, "uuid5": namedUUID(uuid.NewSHA1), "uuid3": namedUUID(uuid.NewMD5)}, values)
}

// uuidValue is a uuid.UUID.
type uuidValue struct {
	opaque
	id uuid.UUID
}

func (u *uuidValue) String() string { return u.id.String() }
func (*uuidValue) Type() string     { return "UUID" }

func newUUID(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("hex?", "*", "int?")
	if err != nil || (v[0] == nil) == (v[1] == nil) {
		return nil, unsupported("uuid.UUID() with these arguments")
	}
	if v[1] != nil {
		i, ok := asInt(v[1])
		if !ok || i.Sign() < 0 || i.BigInt().BitLen() > 128 {
			return nil, raise(valueError, "int is out of range (need a 128-bit value)")
		}
		var id uuid.UUID
		new(big.Int).Set(i.BigInt()).FillBytes(id[:])
		return &uuidValue{id: id}, nil
	}
	s, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	plain := strings.ReplaceAll(strings.Trim(strings.NewReplacer("urn:", "", "uuid:", "").Replace(s), "{}"), "-", "")
	id, err := uuid.Parse(plain)
	if err != nil || len(plain) != 32 {
		return nil, raise(valueError, "badly formed hexadecimal UUID string")
	}
	return &uuidValue{id: id}, nil
}

func namedUUID(make func(uuid.UUID, []byte) uuid.UUID) impl {
	return func(_ *run, a args) (starlark.Value, error) {
		v, err := a.bind("namespace", "name")
		if err != nil {
			return nil, err
		}
		space, ok := v[0].(*uuidValue)
		name, isStr := v[1].(starlark.String)
		if !ok || !isStr {
			return nil, unsupported("%s() of these values", a.fn)
		}
		return &uuidValue{id: make(space.id, []byte(name))}, nil
	}
}

func pathCommonPath(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	items, err := r.collect(a.pos[0])
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, raise(valueError, "commonpath() arg is an empty sequence")
	}
	var common []string
	absolute := false
	for i, v := range items {
		s, err := a.wantStr(v)
		if err != nil {
			return nil, err
		}
		parts := strings.FieldsFunc(strings.ReplaceAll("/"+s+"/", "/./", "/"), func(c rune) bool { return c == '/' })
		if i == 0 {
			absolute, common = strings.HasPrefix(s, "/"), parts
			continue
		}
		if absolute != strings.HasPrefix(s, "/") {
			return nil, raise(valueError, "Can't mix absolute and relative paths")
		}
		n := 0
		for n < min(len(common), len(parts)) && common[n] == parts[n] {
			n++
		}
		common = common[:n]
	}
	out := strings.Join(common, "/")
	if absolute {
		out = "/" + out
	}
	return text(out), nil
}
