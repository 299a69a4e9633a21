# Lists whose items can be taken back: "-x" or "~x" cancels one "x", and IMPLIED_<LIST>[x] = "y z" adds y and z where x is.

python enable_list_variables() {
    for name in (e.data.getVar('LIST_VARIABLES') or '').split():
        implied = e.data.getVarFlags('IMPLIED_' + name) or {}
        items = (e.data.getVar(name) or '').split()
        cancelled = [i[1:] for i in items if i[0] in '-~']
        wanted = [i for i in items if i[0] not in '-~']
        queue = list(wanted)
        while queue:
            item = queue.pop(0)
            for more in (e.data.expand(implied.get(item, ''))).split():
                if more not in wanted:
                    wanted.append(more)
                    queue.append(more)
                    e.data.appendVar(name + ':prepend', more + ' ')
        for item in cancelled:
            e.data.setVar(name + ':remove', item + ' -' + item + ' ~' + item)
}
addhandler enable_list_variables
enable_list_variables[eventmask] = "bb.event.ConfigParsed"
