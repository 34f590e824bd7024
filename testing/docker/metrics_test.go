package docker

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skeinmq/skein/testing/server"
)

// metrics are all names that the code gives to Prometheus.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	isName := regexp.MustCompile(`^skein_[a-z0-9_]+$`)
	for _, pattern := range []string{"../../broker/api/metrics*.go", "../../broker/*metrics*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if s, _ := strconv.Unquote(lit.Value); isName.MatchString(s) {
						names[s] = true
					}
				}
				return true
			})
		}
	}
	return names
}

// usedIn are the metrics that expressions name.
func usedIn(expressions []string) (names []string) {
	name := regexp.MustCompile(`\b(skein|process|go)_[a-z0-9_]+`)
	for _, e := range expressions {
		names = append(names, name.FindAllString(e, -1)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ofTheProcess are those of Prometheus' own collectors that are used.
var ofTheProcess = []string{
	"go_goroutines", "go_memstats_heap_inuse_bytes", "process_cpu_seconds_total", "process_max_fds",
	"process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds",
}

// unknown are the names that no metric has.
func unknown(used []string, known map[string]bool) (names []string) {
	for _, n := range used {
		base := n
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if whole, ok := strings.CutSuffix(n, part); ok && known[whole] {
				base = whole
			}
		}
		if !known[base] && !slices.Contains(ofTheProcess, n) {
			names = append(names, n)
		}
	}
	return names
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var f struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	strict(t, file(t, "alerts.yaml"), &f)
	return f.Groups[0].Rules
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		Expr       string `json:"expr"`
		Datasource struct {
			UID string `json:"uid"`
		} `json:"datasource"`
	} `json:"targets"`
}

func panels(t *testing.T) []panel {
	t.Helper()
	var d struct {
		Panels     []panel `json:"panels"`
		Templating struct {
			List []struct {
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal([]byte(file(t, "grafana/skein.json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) == 0 || len(d.Templating.List) != 1 {
		t.Fatal("the dashboard is empty")
	}
	return d.Panels
}

// expressions are all that the alerts and the dashboard ask for.
func expressions(t *testing.T) (list []string) {
	t.Helper()
	for _, r := range rules(t) {
		list = append(list, r.Expr)
	}
	for _, p := range panels(t) {
		for _, q := range p.Targets {
			list = append(list, q.Expr)
		}
	}
	return list
}

// Alerts and dashboard ask for metrics that there are.
func TestMetricsExist(t *testing.T) {
	known := metrics(t)
	used := usedIn(expressions(t))
	if len(known) < 50 || len(used) < 40 {
		t.Fatalf("found %d metrics, %d of them used", len(known), len(used))
	}
	if missing := unknown(used, known); len(missing) > 0 {
		t.Errorf("there are no metrics %v", missing)
	}
	if missing := unknown([]string{"skein_nothing", "skein_connections", "skein_connections_bucket_x", "skein_ack_delay_seconds_bucket"}, known); len(missing) != 2 {
		t.Errorf("the check itself finds %v", missing)
	}
}

func TestAlertsSayWhatToDo(t *testing.T) {
	names := map[string]bool{}
	for _, r := range rules(t) {
		if names[r.Alert] || !strings.HasPrefix(r.Alert, "Skein") {
			t.Errorf("%s: the name", r.Alert)
		}
		names[r.Alert] = true
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 20 {
			t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
		}
	}
	tests := read(t, "testdata", "alerts_test.yaml")
	for name := range names {
		if !strings.Contains(tests, `alertname="`+name+`"`) {
			t.Errorf("no test fires %s", name)
		}
	}
}

// Panels have a source, a meaning, and a place of their own.
func TestDashboard(t *testing.T) {
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range panels(t) {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			if q.Datasource.UID != "prometheus" {
				t.Errorf("%s: the source is %q", p.Title, q.Datasource.UID)
			}
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("%s is over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	if !strings.Contains(file(t, "grafana/datasource.yaml"), "uid: prometheus") {
		t.Error("the dashboard's source is not provisioned")
	}
}

// Prometheus takes its configuration and the rules, and each alert fires in a test.
func TestPrometheusTakesThem(t *testing.T) {
	promtool := server.Program(t, "promtool")
	tmp := t.TempDir()
	put(t, filepath.Join(tmp, "alerts.yaml"), file(t, "alerts.yaml"))
	put(t, filepath.Join(tmp, "token"), "t")
	put(t, filepath.Join(tmp, "prometheus.yml"), replace(t, file(t, "prometheus.yml"), "/run/secrets/api_read", filepath.Join(tmp, "token")))
	output(t, exec.Command(promtool, "check", "config", filepath.Join(tmp, "prometheus.yml")))
	path := put(t, filepath.Join(tmp, "alerts_test.yaml"), read(t, "testdata", "alerts_test.yaml"))
	output(t, exec.Command(promtool, "test", "rules", path))
	var queries []string
	for _, e := range expressions(t) {
		e = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(e)
		queries = append(queries, "  - {record: x, expr: '"+e+"'}")
	}
	path = put(t, filepath.Join(tmp, "queries.yaml"), "groups:\n- name: q\n  rules:\n"+strings.Join(slices.Compact(queries), "\n")+"\n")
	out, err := exec.Command(promtool, "check", "rules", "--lint=none", path).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
