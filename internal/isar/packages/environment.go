package packages

import (
	"fmt"
	"slices"
	"strings"

	"n3x/internal/isar"
)

// ownVariables are what ISAR's build sets itself: a layer that exports them is not warned.
var ownVariables = []string{"PARALLEL_MAKE", "CCACHE_DIR", "CCACHE_DEBUGDIR", "CCACHE_DEBUG", "CCACHE_DISABLE", "PATH_PREPEND", "DEB_BUILD_OPTIONS"}

// proxyVariables reach a build that may use the network.
var proxyVariables = []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ftp_proxy", "FTP_PROXY", "no_proxy", "NO_PROXY"}

// buildEnvironment is what a build gets besides a clean environment: what the shell lines of dpkg_runbuild export beyond
// the task's own environment, which is warned of, and what the recipe's variables say.
func buildEnvironment(c *isar.Call) (env []string, path string, err error) {
	set := map[string]string{}
	for _, e := range c.Exported() {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case name == "HOME" || name == "SOURCE_DATE_EPOCH" || name == "PATH":
			continue
		case !slices.Contains(ownVariables, name) && !slices.Contains(proxyVariables, name):
			fmt.Fprintf(c.Log, "WARNING: %s exports %s to its build, please migrate to templates\n", c.Recipe, e)
		}
		set[name] = value
	}
	v, err := c.Values("N3X_DEB_BUILD_OPTIONS", "PARALLEL_MAKE", "USE_CCACHE", "CCACHE_DEBUG", "SBUILD_PASSTHROUGH_ADDITIONS")
	if err != nil {
		return nil, "", err
	}
	set["DEB_BUILD_OPTIONS"], set["PARALLEL_MAKE"] = v[0], v[1]
	path = set["PATH_PREPEND"]
	if truth(v[2]) {
		set["CCACHE_DIR"], set["CCACHE_UMASK"] = "/ccache", "000"
		path = "/usr/lib/ccache"
		if truth(v[3]) {
			set["CCACHE_DEBUG"], set["CCACHE_DEBUGDIR"] = "1", "/ccache/debug"
		}
	} else {
		set["CCACHE_DISABLE"] = "1"
	}
	if err := addProxies(c, set); err != nil {
		return nil, "", err
	}
	for _, name := range strings.Fields(v[4]) {
		value, ok, err := c.Data.Var(name, true)
		if err != nil {
			return nil, "", err
		}
		if ok {
			set[name] = value
		}
	}
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env, path, nil
}

// addProxies gives a build with network the proxies of the configuration; without network it gets none.
func addProxies(c *isar.Call, set map[string]string) error {
	network, err := c.Flag(c.Name, "network")
	if err != nil {
		return err
	}
	for _, name := range proxyVariables {
		if !truth(network) {
			delete(set, name)
			continue
		}
		if value, ok, err := c.Data.Var(name, true); err != nil {
			return err
		} else if ok && value != "" {
			set[name] = value
		}
	}
	return nil
}
