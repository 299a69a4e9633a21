package recipe
import ("testing";"context";"time";"os";"strings"
"n3x/internal/bitbake/pyeval"
)
func TestZZ(t *testing.T){
 want:=readRecorded(t,os.Getenv("ZJSON"))
 env:=map[string]string{}
 for _,kv:=range os.Environ(){k,v,_:=strings.Cut(kv,"=");env[k]=v}
 st:=time.Now()
 w,err:=Load(context.Background(),Options{TopDir:os.Getenv("ZTOP"),Environ:env,BitBake:os.Getenv("ZVER"),Parallel:1,Python:pyeval.Options{Now:time.Now,Funcs:map[string]pyeval.Func{"oe_import":func(context.Context,pyeval.Site,[]any,map[string]any)(any,error){return "",nil},"get_deb_host_arch":func(context.Context,pyeval.Site,[]any,map[string]any)(any,error){return "amd64",nil}},Log:func(l,s string){if l=="warn"||l=="error"||l=="fatal"{t.Log(l,s)}}}})
 t.Log(time.Since(st))
 if err!=nil{t.Error(err)}
 if w==nil{return}
 for _,x:=range w.Warnings(){t.Log(x)}
 root:=strings.TrimSuffix(os.Getenv("ZTOP"),"/build")
 compareWorld(t,w,root,want.Cases["disk"])
}
