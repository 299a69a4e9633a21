package datastore

import (
	"slices"
	"strings"
)

// Names under which the store keeps lists of names.
const (
	tasksVar = "__BBTASKS"
	depsFlag = "deps"
)

func taskName(name string) string {
	if strings.HasPrefix(name, "do_") {
		return name
	}
	return "do_" + name
}

func words(s string) []string { return strings.FieldsFunc(s, IsSpace) }

// Tasks are the names of the tasks added so far, in order and unexpanded.
func (d *Data) Tasks() []string {
	s, _ := d.Assigned(tasksVar)
	return ParseList(s)
}

// TaskDeps are the tasks that task comes after, unexpanded.
func (d *Data) TaskDeps(task string) []string {
	return ParseList(d.assigned(task, depsFlag).s)
}

func (d *Data) setTasks(names []string) error {
	return d.set(tasksVar, literal(ListLiteral(names)), true, Event{})
}

func (d *Data) setTaskDeps(task string, deps []string, at Site) error {
	return d.setFlagsAt(task, []flagAt{{depsFlag, literal(ListLiteral(deps)), at}})
}

func (d *Data) otherTask(name string) string {
	if d.old {
		return name
	}
	return taskName(name)
}

// AddTask makes name a task that runs before and after the tasks listed; do_ may be left out.
func (d *Data) AddTask(name string, before, after []string) error {
	name = taskName(name)
	if err := d.setFlagsAt(name, []flagAt{{"task", one, siteAddTask}}); err != nil {
		return err
	}
	if tasks := d.Tasks(); !slices.Contains(tasks, name) {
		if err := d.setTasks(append(tasks, name)); err != nil {
			return err
		}
	}
	deps := d.TaskDeps(name)
	for _, dep := range after {
		if dep = d.otherTask(dep); !slices.Contains(deps, dep) {
			deps = append(deps, dep)
		}
	}
	if err := d.setTaskDeps(name, deps, siteAddDeps); err != nil {
		return err
	}
	for _, later := range before {
		later = d.otherTask(later)
		if deps := d.TaskDeps(later); !slices.Contains(deps, name) {
			if err := d.setTaskDeps(later, append([]string{name}, deps...), siteAddBefore); err != nil {
				return err
			}
		}
	}
	return nil
}

// DelTask removes a task, what it comes after, and the other tasks' dependencies on it.
func (d *Data) DelTask(name string) error {
	name = taskName(name)
	tasks := d.Tasks()
	if i := slices.Index(tasks, name); i >= 0 {
		tasks = slices.Delete(tasks, i, i+1)
		d.dropFlag(name, "task", siteDelTask)
		if err := d.setTasks(tasks); err != nil {
			return err
		}
	}
	d.dropFlag(name, depsFlag, siteDelDeps)
	for _, other := range tasks {
		deps := d.TaskDeps(other)
		if i := slices.Index(deps, name); i >= 0 {
			if err := d.setTaskDeps(other, slices.Delete(deps, i, i+1), siteDelOthers); err != nil {
				return err
			}
		}
	}
	return nil
}
