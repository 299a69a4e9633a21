package datastore

import "strconv"

// Site is a place in BitBake's own code. When BitBake itself sets a variable, and not a statement of a file, its history shows
// that place; scripts see these lines, so they are the same here.
type Site uint8

// The places whose operations can be seen. The zero Site is a statement of a file or Python code of metadata.
const (
	_                  Site = iota
	SiteConfFile            // FILE, when a .conf file is read
	SiteConfFileDone        // FILE, when it has been read
	SiteFile                // FILE, when a recipe or an .inc file is read
	SiteFileDone            // FILE, when it has been read
	SiteTopDir              // TOPDIR of a build directory
	SiteCurrentMC           // BB_CURRENT_MC
	SiteLayerDir            // LAYERDIR
	SiteLayerDirRE          // LAYERDIR_RE
	SiteDynamicFiles        // BBFILES of BBFILES_DYNAMIC
	SiteCompat              // LAYERSERIES_COMPAT_
	SiteCoreNames           // LAYERSERIES_CORENAMES
	SiteCompatGone          // LAYERSERIES_COMPAT_, which other layers must not see
	SiteCoreNamesGone       // LAYERSERIES_CORENAMES, likewise
	SiteCacheDir            // BB_CACHEDIR
	SiteLayerDirGone        // LAYERDIR, after the layers
	SiteLayerDirREGone      // LAYERDIR_RE, after the layers
	SiteConfIncluded        // BBINCLUDED of a configuration
	SiteIncluded            // BBINCLUDED of a recipe
	SiteOrigEnv             // BB_ORIGENV
	SiteLayerName           // FILE_LAYERNAME
	SiteExtendCurr          // BBEXTENDCURR
	SiteExtendVariant       // BBEXTENDVARIANT
	SiteExtendPN            // PN of a variant
	SiteClassExtend         // BBCLASSEXTEND
	SiteDepends             // DEPENDS with its virtual providers replaced
	SiteTaskDepends         // the flag depends with its virtual providers replaced
	SiteTask                // the flag task of every task
	SiteTaskDeps            // _task_deps
	SiteHandler             // the flag handler
	SiteEnvironment         // a variable of the environment
	SiteExported            // its flag export
	SiteFragmentFlag        // a flag that a fragment sets
	SiteFragmentVar         // the variable it comes from
	SiteExpandKeys          // the expansion of names
	SiteHashServe           // BB_HASHSERVE
	SiteCmdline             // BB_CMDLINE
	SiteConsoleLog          // BB_CONSOLELOG
	SitePrioritized         // BBFILES_PRIORITIZED
	SiteInvalidConf         // BB_INVALIDCONF
	siteExport
	siteSetVarDel
	siteRename
	siteReference
	siteFuncNoPython
	siteFuncNoFakeroot
	siteFuncPython
	siteFuncFakeroot
	siteFuncFunc
	siteFuncText
	siteFuncFile
	siteFuncLine
	siteDefFunc
	siteDefPython
	siteDefText
	siteDefFile
	siteDefLine
	siteExpNoPython
	siteExpNoFunc
	siteExpFrom
	siteExpTo
	siteExpFile
	siteExpLine
	siteExpPython
	siteExpShell
	siteAddTask
	siteAddDeps
	siteAddBefore
	siteDelTask
	siteDelDeps
	siteDelOthers
)

// place is where a site lies: the file, the line in the newest BitBake and in 2.8, and the function.
type place struct {
	file     string
	now, old int
	function string
}

var places = map[Site]place{
	SiteConfFile:       {"ConfHandler.py", 153, 151, "handle"},
	SiteConfFileDone:   {"ConfHandler.py", 156, 154, "handle"},
	SiteFile:           {"BBHandler.py", 153, 143, "handle"},
	SiteFileDone:       {"BBHandler.py", 171, 161, "handle"},
	SiteTopDir:         {"cookerdata.py", 370, 356, "parseConfigurationFiles"},
	SiteCurrentMC:      {"cookerdata.py", 359, 345, "parseConfigurationFiles"},
	SiteLayerDir:       {"cookerdata.py", 407, 393, "parseConfigurationFiles"},
	SiteLayerDirRE:     {"cookerdata.py", 408, 394, "parseConfigurationFiles"},
	SiteDynamicFiles:   {"cookerdata.py", 448, 434, "parseConfigurationFiles"},
	SiteCompat:         {"cookerdata.py", 433, 419, "parseConfigurationFiles"},
	SiteCoreNames:      {"cookerdata.py", 469, 455, "parseConfigurationFiles"},
	SiteCompatGone:     {"cookerdata.py", 424, 410, "parseConfigurationFiles"},
	SiteCoreNamesGone:  {"cookerdata.py", 428, 414, "parseConfigurationFiles"},
	SiteCacheDir:       {"cookerdata.py", 374, 360, "parseConfigurationFiles"},
	SiteLayerDirGone:   {"cookerdata.py", 431, 417, "parseConfigurationFiles"},
	SiteLayerDirREGone: {"cookerdata.py", 430, 416, "parseConfigurationFiles"},
	SiteConfIncluded:   {"cookerdata.py", 506, 492, "parseConfigurationFiles"},
	SiteIncluded:       {"ast.py", 557, 416, "finalize"},
	SiteOrigEnv:        {"cookerdata.py", 253, 248, "__init__"},
	SiteLayerName:      {"cookerdata.py", 513, 499, "_parse_recipe"},
	SiteExtendCurr:     {"ast.py", 619, 486, "extendfunc"},
	SiteExtendVariant:  {"ast.py", 620, 487, "extendfunc"},
	SiteExtendPN:       {"ast.py", 622, 489, "extendfunc"},
	SiteClassExtend:    {"ast.py", 625, 492, "multi_finalize"},
	SiteDepends:        {"ast.py", 505, 0, "handleVirtRecipeProviders"},
	SiteTaskDepends:    {"ast.py", 514, 0, "handleVirtRecipeProviders"},
	SiteTask:           {"build.py", 895, 893, "add_tasks"},
	SiteTaskDeps:       {"build.py", 933, 931, "add_tasks"},
	SiteHandler:        {"ast.py", 291, 271, "eval"},
	SiteEnvironment:    {"data.py", 105, 105, "inheritFromOS"},
	SiteExported:       {"data.py", 107, 107, "inheritFromOS"},
	SiteFragmentFlag:   {"ast.py", 427, 0, "eval"},
	SiteFragmentVar:    {"ast.py", 428, 0, "eval"},
	SiteExpandKeys:     {"data.py", 97, 97, "expandKeys"},
	SiteHashServe:      {"cooker.py", 370, 336, "handlePRServ"},
	SiteCmdline:        {"cooker.py", 311, 294, "initConfigurationData"},
	SiteConsoleLog:     {"cooker.py", 309, 292, "initConfigurationData"},
	SitePrioritized:    {"cooker.py", 1852, 1806, "collect_bbfiles"},
	SiteInvalidConf:    {"cookerdata.py", 292, 276, "parseBaseConfiguration"},
	siteExport:         {"ast.py", 67, 52, "eval"},
	siteSetVarDel:      {"data_smart.py", 614, 616, "setVar"},
	siteRename:         {"data_smart.py", 701, 696, "renameVar"},
	siteReference:      {"data_smart.py", 1049, 1023, "expandVarref"},
	siteFuncNoPython:   {"ast.py", 194, 176, "eval"},
	siteFuncNoFakeroot: {"ast.py", 195, 177, "eval"},
	siteFuncPython:     {"ast.py", 197, 179, "eval"},
	siteFuncFakeroot:   {"ast.py", 199, 181, "eval"},
	siteFuncFunc:       {"ast.py", 200, 182, "eval"},
	siteFuncText:       {"ast.py", 201, 183, "eval"},
	siteFuncFile:       {"ast.py", 202, 184, "eval"},
	siteFuncLine:       {"ast.py", 203, 185, "eval"},
	siteDefFunc:        {"ast.py", 218, 200, "eval"},
	siteDefPython:      {"ast.py", 219, 201, "eval"},
	siteDefText:        {"ast.py", 220, 202, "eval"},
	siteDefFile:        {"ast.py", 221, 203, "eval"},
	siteDefLine:        {"ast.py", 222, 204, "eval"},
	siteExpNoPython:    {"ast.py", 241, 223, "eval"},
	siteExpNoFunc:      {"ast.py", 242, 224, "eval"},
	siteExpFrom:        {"ast.py", 246, 228, "eval"},
	siteExpTo:          {"ast.py", 249, 231, "eval"},
	siteExpFile:        {"ast.py", 250, 232, "eval"},
	siteExpLine:        {"ast.py", 251, 233, "eval"},
	siteExpPython:      {"ast.py", 254, 236, "eval"},
	siteExpShell:       {"ast.py", 258, 240, "eval"},
	siteAddTask:        {"build.py", 943, 937, "addtask"},
	siteAddDeps:        {"build.py", 956, 949, "addtask"},
	siteAddBefore:      {"build.py", 963, 955, "addtask"},
	siteDelTask:        {"build.py", 971, 964, "deltask"},
	siteDelDeps:        {"build.py", 974, 967, "deltask"},
	siteDelOthers:      {"build.py", 979, 972, "deltask"},
}

// By says that the operations that follow are BitBake's own, and not due to a statement of a file.
func (d *Data) By(s Site) { d.origin = origin{site: s} }

// where is the place of an event as BitBake prints it.
func (d *Data) where(e Event) string {
	if e.Site != 0 {
		p := places[e.Site]
		line := p.now
		if d.old {
			line = p.old
		}
		return p.file + ":" + strconv.Itoa(line) + " [" + p.function + "]"
	}
	return e.place()
}
