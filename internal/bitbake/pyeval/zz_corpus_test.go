package pyeval
import ("testing";"encoding/json";"os";"errors";"sort";"fmt";"strings";"n3x/internal/bitbake/pyeval/python";"n3x/internal/diag")
func TestZZ(t *testing.T){
 b,err:=os.ReadFile("/tmp/py/bodies.json"); if err!=nil{t.Skip()}
 var l []struct{Kind,File,Text string}
 json.Unmarshal(b,&l)
 cnt:=map[string]int{}; ex:=map[string]string{}; ok,isar:=0,0
 for _,x:=range l{
  var p *program; var err error
  switch x.Kind{
  case "expr": p,err=compileExpr(x.Text)
  case "body": if blank(x.Text){continue}; p,err=compileBody(x.Text,"d")
  case "def":
    var st []python.Stmt
    st,err=python.ParseFile(x.Text,python.Pos{1,1})
    if err==nil { for _,s:=range st { if f,is:=s.(*python.FunctionDef);is { p,err=compileDef("f",x.Text,1,f) } } }
  }
  if err!=nil { k:="ERR "+x.Kind+" "+located(err,diag.Pos{File:x.File,Line:1},x.Text).Error(); cnt[k]++; ex[k]=x.File; continue}
  ok++
  if p!=nil && len(p.refusals)>0 { k:=x.Kind+" refusal: "+p.refusals[0].Construct; cnt[k]++; ex[k]=x.File+" :: "+p.refusals[0].Source; if strings.Contains(x.File,"isar"){isar++} }
 }
 var ks []string; for k:=range cnt{ks=append(ks,k)}; sort.Strings(ks)
 for _,k:=range ks{fmt.Println(cnt[k],k,"   ",ex[k])}
 fmt.Println(ok,len(l),isar); _=errors.New
}
