package zztmp
import ("testing";"context";"fmt";"time";"n3x/internal/bitbake/recipe";"n3x/internal/bitbake/pyeval";"os")
func TestX(t *testing.T){
 if os.Getenv("ZZ")=="" {t.Skip()}
 t0:=time.Now()
 w,err:=recipe.Load(context.Background(), recipe.Options{TopDir:"/tmp/py/build",Environ:map[string]string{"HOME":"/root","PATH":"/usr/bin"},BitBake:"2.8.0",
  Python: pyeval.Options{Log:func(l,s string){fmt.Println("LOG",l,s)}, Funcs: map[string]pyeval.Func{
   "get_deb_host_arch": func(context.Context,pyeval.Site,[]any,map[string]any)(any,error){return "amd64",nil},
   "oe_import": func(context.Context,pyeval.Site,[]any,map[string]any)(any,error){return "",nil},
   "calculate_build_uuid": func(context.Context,pyeval.Site,[]any,map[string]any)(any,error){return "uuid",nil},
  }}})
 fmt.Println(time.Since(t0))
 if err!=nil{fmt.Println("ERR",err); }
 if w==nil {return}
 n,u:=0,0
 for _,r:=range w.Recipes(""){ n++
   for _,k:=range r.Data.Keys(){ _,_,err:=r.Data.Var(k,true); if err!=nil{ u++; fmt.Println(r.PN,k,err)} }
 }
 fmt.Println(n,u,time.Since(t0))
}
