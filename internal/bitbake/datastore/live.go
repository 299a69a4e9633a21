package datastore

// Live says where the value of a variable comes from when that is not the metadata: it may be another one tomorrow, although
// no file has changed. Whoever has not read it need not care.
type Live struct {
	Source string // an environment variable, or the text whose expansion is the value
	Clock  bool   // Source is a text that tells the time
	event  int    // of the history, whose detail is the value; -1 = none is
	past   bool   // the value is another one by now; only the event remains
}

// LiveWatcher is an [Evaluator] that wants to know which live variables are read for its store.
type LiveWatcher interface {
	ReadLive(name string)
}

// MarkLive says that the value which a variable was just given is live. Until it is set anew, its readers are watched.
func (d *Data) MarkLive(name string, l Live) {
	v := d.own(name)
	l.event = -1
	for i, e := range v.history {
		if e.Flag == "" && !l.Clock {
			l.event = i
		}
	}
	v.live = &l
}

// LiveVariables are the live variables and their sources.
func (d *Data) LiveVariables() map[string]Live {
	all := map[string]Live{}
	for name, v := range d.above(nil) {
		if v.live != nil {
			all[name] = *v.live
		}
	}
	return all
}

// LiveValues are the values of the live variables.
func (d *Data) LiveValues() map[string]string {
	all := map[string]string{}
	for name, v := range d.above(nil) {
		switch {
		case v.current():
			all[name] = v.value.s
		case v.live != nil && v.live.event >= 0 && v.live.event < len(v.history):
			all[name] = v.history[v.live.event].Detail
		}
	}
	return all
}

// replaced is what remains of a live value when the variable gets another one.
func (l *Live) replaced() *Live {
	if l == nil || l.event < 0 {
		return nil
	}
	past := *l
	past.past = true
	return &past
}

// current reports whether the variable's value is live.
func (v *variable) current() bool { return v.live != nil && !v.live.past }

// sawLive tells the evaluator that the value of a live variable was used.
func (d *Data) sawLive(name string) {
	if w, ok := d.eval.(LiveWatcher); ok {
		w.ReadLive(name)
	}
}
