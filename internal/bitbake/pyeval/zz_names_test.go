package pyeval
import ("testing";"encoding/json";"os";"sort";"fmt";"strings";"n3x/internal/bitbake/pyeval/python")
func dotted(x python.Expr) string { switch x:=x.(type){case *python.Name: return x.ID; case *python.Attribute: b:=dotted(x.X); if b=="" {return ""}; return b+"."+x.Attr}; return ""}
func TestZN(t *testing.T){
 b,err:=os.ReadFile("/tmp/py/bodies.json"); if err!=nil{t.Skip()}
 var l []struct{Kind,File,Text string}
 json.Unmarshal(b,&l)
 in:=New(Options{})
 miss:=map[string]map[string]bool{}
 for _,x:=range l{
  if strings.HasPrefix(x.File,"oe/") {continue}
  var st []python.Stmt
  switch x.Kind{
  case "expr": e,err:=python.ParseExpr(strings.TrimSpace(x.Text),python.Pos{1,1}); if err!=nil{continue}; st=[]python.Stmt{&python.ExprStmt{X:e}}
  case "body": st,err=python.ParseFile("def f(d):\n"+x.Text,python.Pos{1,1})
  case "def": st,err=python.ParseFile(x.Text,python.Pos{1,1})
  }
  if err!=nil{continue}
  add:=func(n string){ if miss[n]==nil{miss[n]=map[string]bool{}}; miss[n][x.Kind+":"+x.File[strings.LastIndex(x.File,"/")+1:]]=true }
  python.Walk(st,func(n python.Node) bool{
   switch n:=n.(type){
   case *python.Import: for _,a:=range n.Names{ r:=&run{in:in}; if _,err:=r.importModule(a.Name,a.Name);err!=nil{add("import "+a.Name)}}
   case *python.ImportFrom: add("from "+n.Module)
   case *python.Attribute:
     dn:=dotted(n); if dn=="" {return true}
     parts:=strings.Split(dn,".")
     if parts[0]=="d" && len(parts)==2 { if dataMethods[parts[1]]==nil {add(dn)}; return true}
     v:=in.context[parts[0]]; if v==nil {return true}
     for i,p:=range parts[1:]{ m,ok:=v.(*module); if !ok {break}; v=m.attrs[p]; if v==nil{ add(strings.Join(parts[:i+2],".")); return false}}
     return false
   }
   return true})
 }
 var ks []string; for k:=range miss{ks=append(ks,k)}; sort.Strings(ks)
 for _,k:=range ks{ var fs []string; for f:=range miss[k]{fs=append(fs,f)}; sort.Strings(fs); fmt.Println(k,fs)}
}
