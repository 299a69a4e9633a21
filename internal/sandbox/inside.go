package sandbox

import "os"

// Inside reports whether [Enter], when it is called, will find itself inside already: this process is the one that an
// earlier Enter started. After Enter it is false.
func Inside() bool {
	stage := os.Getenv(stageVar)
	return stage == stageInside || stage == stagePlain
}
