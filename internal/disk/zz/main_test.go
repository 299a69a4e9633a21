package fl
import ("testing";"bytes";"os";"github.com/klauspost/compress/flate"; std "compress/flate")
func block(kind string) []byte { b:=make([]byte,1<<20); if kind=="data" { f,_:=os.Open("/tmp/disk/tools/work/o2.img"); f.ReadAt(b, 300<<20)}; if kind=="text"{ d,_:=os.ReadFile("/tmp/disk/trixie.Packages"); copy(b,d)}; return b}
func Benchmark(b *testing.B){
 for _,k:=range []string{"zero","data","text"} { d:=block(k)
 for _,l:=range []int{6,7,8,9} { 
  b.Run(k+string(rune('0'+l)), func(b *testing.B){ b.SetBytes(1<<20); var o bytes.Buffer; for b.Loop(){ o.Reset(); w,_:=flate.NewWriter(&o,l); w.Write(d); w.Flush()}; b.ReportMetric(float64(o.Len()),"out")})
  b.Run("std"+k+string(rune('0'+l)), func(b *testing.B){ b.SetBytes(1<<20); var o bytes.Buffer; for b.Loop(){ o.Reset(); w,_:=std.NewWriter(&o,l); w.Write(d); w.Flush()}; b.ReportMetric(float64(o.Len()),"out")})
 }}
}
