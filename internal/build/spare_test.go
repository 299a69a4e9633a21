package build

import (
	"slices"
	"testing"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/taskgraph"
)

// TestSpare: a build root is renewed for a package that is to be built, for a shell, and when it is asked for itself.
func TestSpare(t *testing.T) {
	t.Parallel()
	root, hello, image := &recipe.Recipe{PN: "sbuild-chroot-target"}, &recipe.Recipe{PN: "hello"}, &recipe.Recipe{PN: "image"}
	install := &taskgraph.Task{Recipe: root, Name: "do_rootfs_install"}
	deploy := &taskgraph.Task{Recipe: root, Name: deployRoot, DependsOn: []*taskgraph.Task{install}}
	rootBuild := &taskgraph.Task{Recipe: root, Name: "do_build", NoExec: true, DependsOn: []*taskgraph.Task{deploy}}
	source := &taskgraph.Task{Recipe: hello, Name: "do_dpkg_source"}
	build := &taskgraph.Task{Recipe: hello, Name: "do_dpkg_build", DependsOn: []*taskgraph.Task{source, rootBuild}}
	shell := &taskgraph.Task{Recipe: hello, Name: "do_devshell", NoStamp: true, DependsOn: []*taskgraph.Task{rootBuild}}
	all := &taskgraph.Task{Recipe: hello, Name: "do_build", NoExec: true, DependsOn: []*taskgraph.Task{build, rootBuild}}
	rootfs := &taskgraph.Task{Recipe: image, Name: "do_rootfs_install", DependsOn: []*taskgraph.Task{build}}
	clean := &taskgraph.Task{Recipe: hello, Name: "do_clean", NoStamp: true}
	for _, tt := range []struct {
		name   string
		target *taskgraph.Task
		tasks  []*taskgraph.Task
		undone []*taskgraph.Task
		spare  bool
	}{
		{"all is done", all, []*taskgraph.Task{install, deploy, rootBuild, source, build, all}, nil, true},
		{"only the image changes", rootfs, []*taskgraph.Task{install, deploy, rootBuild, source, build, rootfs}, []*taskgraph.Task{rootfs}, true},
		{"the package is to be built", all, []*taskgraph.Task{install, deploy, rootBuild, source, build, all}, []*taskgraph.Task{build}, false},
		{"a shell", shell, []*taskgraph.Task{install, deploy, rootBuild, source, shell}, []*taskgraph.Task{shell}, false},
		{"itself", rootBuild, []*taskgraph.Task{install, deploy, rootBuild}, nil, false},
		{"its task", deploy, []*taskgraph.Task{install, deploy}, nil, false},
		{"something is cleaned", all, []*taskgraph.Task{install, deploy, rootBuild, source, build, clean, all}, nil, false},
	} {
		g := &taskgraph.Graph{Tasks: tt.tasks, Targets: []*taskgraph.Task{tt.target}}
		got := spare(g, func(t *taskgraph.Task) bool { return !slices.Contains(tt.undone, t) })
		if got[install] != tt.spare || got[deploy] != tt.spare {
			t.Errorf("%s: %v, want %v", tt.name, got[install], tt.spare)
		}
		for task := range got {
			if task.Recipe != root {
				t.Errorf("%s: %s of %s is spare", tt.name, task.Name, task.Recipe.PN)
			}
		}
	}
}
