package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	const info = "MemTotal:       24000 kB\nMemFree:         1000 kB\nMemAvailable:   20000 kB\n"
	for name, tt := range map[string]struct {
		files map[string]string
		free  int64
		by    string
	}{
		"no groups": {map[string]string{"proc/meminfo": info}, 20000 << 10, "the host"},
		"no limit":  {map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "5\n"}, 20000 << 10, "the host"},
		"of a group above": {map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.current": "400000\n",
			"sys/fs/cgroup/a/memory.stat": "anon 7\ninactive_file 100000\n"}, 700000, "the limit of control group /a"},
		"of a container": {map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/docker/1\n", "sys/fs/cgroup/memory.max": "1000000\n", "sys/fs/cgroup/memory.current": "2000000\n"}, 0, "the limit of control group /"},
		"version 1": {map[string]string{"proc/meminfo": info, "proc/self/cgroup": "5:cpu,memory:/x\n1:name=systemd:/\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "3000000\n",
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": "1000000\n"}, 2000000, "the limit of control group /x"},
	} {
		root := t.TempDir()
		for file, text := range tt.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := (Host{Root: root}).Memory(); err != nil || m.Free != tt.free || m.By != tt.by {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if _, err := (Host{Root: t.TempDir()}).Memory(); err == nil {
		t.Error("memory of a host without any")
	}
}
