package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/skeinmq/skein/broker/config"
	"github.com/skeinmq/skein/hooks/store/disk"
	"github.com/skeinmq/skein/testing/harness"
)

// exportFile has a line of each kind.
const exportFile = "../../hooks/store/disk/testdata/export.jsonl"

// imported is a directory with a store.
func imported(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	code, out, errs := run(t, nil, "store", "import", "--data", dir, exportFile)
	if want := "imported into " + dir + ": sessions 2, subscriptions 1, queued 1, retained 1, delayed 1\n"; code != 0 || out != want || errs != "" {
		t.Fatalf("code %d, %q %q, want %q", code, out, errs, want)
	}
	return dir
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStoreInspect(t *testing.T) {
	dir := imported(t)
	code, out, errs := run(t, []string{"SKEIN_DATA=" + dir}, "store", "inspect")
	disk := out[strings.LastIndex(out, " ")-4:] // the size is pebble's
	want := `CLIENT         USER  SUBSCRIPTIONS  QUEUED  BYTES  IN FLIGHT  EXPIRES
"client \xff"  user  1              1       10     1          1m0s after the next start
other          -     0              0       0      0          1m0s after the next start

sessions          2
subscriptions     1
queued            1 (10 B)
in flight         1
in shared groups  1
retained          1 (20 B)
delayed           1
on disk           `
	if code != 0 || errs != "" || !strings.HasPrefix(out, want) || !strings.HasSuffix(disk, "B\n") {
		t.Errorf("code %d %s\n%s\nwant\n%s", code, errs, out, want)
	}
}

func TestStoreInspectJSON(t *testing.T) {
	dir := imported(t)
	code, out, errs := run(t, nil, "store", "inspect", "--json", "--config", write(t, "data: "+dir+"\n"))
	var got struct {
		Dir      string
		Sessions []map[string]any
		Totals   map[string]float64
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || errs != "" || got.Dir != dir {
		t.Fatalf("code %d, %v, %s\n%s", code, err, errs, out)
	}
	for k, want := range map[string]float64{
		"sessions": 2, "ending_sessions": 0, "subscriptions": 1, "queued": 1, "queued_bytes": 10, "in_flight": 1,
		"group_queued": 1, "retained": 1, "retained_bytes": 20, "delayed": 1,
	} {
		if n, ok := got.Totals[k]; !ok || n != want {
			t.Errorf("%s is %v, want %v", k, n, want)
		}
	}
	if got.Totals["disk_bytes"] <= 0 {
		t.Error("nothing on disk")
	}
	s := got.Sessions[0]
	if s["user"] != "user" || s["in_flight"] != 1.0 || s["expiry_seconds"] != 60.0 || s["expires_at"] != nil || s["will"] != true {
		t.Errorf("session %v", s)
	}
	if got.Sessions[1]["client"] != "other" || got.Sessions[1]["will"] != false {
		t.Errorf("session %v", got.Sessions[1])
	}
}

func TestWhenASessionExpires(t *testing.T) {
	for _, c := range []struct {
		expiry uint32
		at     int64
		want   string
	}{
		{3600, 1_700_000_000e9, "2023-11-14T22:13:20Z"},
		{3600, 0, "1h0m0s after the next start"},
		{0, 0, "at the next start"},
		{0xFFFFFFFF, 0, "never"},
	} {
		i := infoOf(&disk.SessionSizes{Expiry: c.expiry, ExpiresAt: c.at})
		if got := i.expires(); got != c.want {
			t.Errorf("%d, %d: %s, want %s", c.expiry, c.at, got, c.want)
		}
	}
}

func TestNamesAndSizesForPeople(t *testing.T) {
	for in, want := range map[string]string{"a b/ü": "a b/ü", "": "-", "-": `"-"`, "a\nb": `"a\nb"`, "\x1b[2J": `"\x1b[2J"`, "\xff": `"\xff"`, `"`: `"\""`} {
		if got := plain(in); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5<<30 + 1<<29: "5.5 GiB", 1 << 60: "1048576.0 TiB"} {
		if got := byteCount(in); got != want {
			t.Errorf("%d is %s, want %s", in, got, want)
		}
	}
}

func TestStoreExportAndImport(t *testing.T) {
	dir, want := imported(t), readFile(t, exportFile)
	for _, args := range [][]string{nil, {"-"}} {
		code, out, errs := run(t, nil, append([]string{"store", "export", "--data", dir}, args...)...)
		if code != 0 || out != want || errs != "" {
			t.Errorf("%v: code %d %s\n%s", args, code, errs, out)
		}
	}
	file := filepath.Join(t.TempDir(), "x.jsonl")
	if code, out, errs := run(t, nil, "store", "export", "--data", dir, file); code != 0 || out != "" || errs != "" || readFile(t, file) != want {
		t.Errorf("code %d %s %s", code, out, errs)
	}
	code, _, errs := run(t, nil, "store", "export", "--data", dir, file)
	if code != 1 || !strings.Contains(errs, file) || readFile(t, file) != want {
		t.Errorf("over a file that is there: code %d %s", code, errs)
	}
	if code, _, errs := runOn(t, nil, want, "store", "import", "--data", filepath.Join(t.TempDir(), "new")); code != 0 {
		t.Errorf("from standard input: code %d %s", code, errs)
	}
}

func TestStoreCompact(t *testing.T) {
	dir := imported(t)
	code, out, errs := run(t, nil, "store", "compact", "--data", dir)
	if code != 0 || !strings.HasPrefix(out, "compacted "+dir+": ") || errs != "" {
		t.Errorf("code %d, %q %q", code, out, errs)
	}
	if _, out, _ := run(t, nil, "store", "export", "--data", dir); out != readFile(t, exportFile) {
		t.Errorf("after it\n%s", out)
	}
}

// What a command on a store refuses: one line, code 1, and nothing is changed.
func TestStoreRefuses(t *testing.T) {
	full, none, half := imported(t), filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "half")
	refuse := func(in string, want string, args ...string) {
		t.Helper()
		code, out, errs := runOn(t, nil, in, append([]string{"store"}, args...)...)
		if code != exitFailed || out != "" || !strings.HasPrefix(errs, "skein: ") || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: code %d, out %q, err %q", args, code, out, errs)
		}
	}
	for _, cmd := range []string{"inspect", "export", "compact"} {
		refuse("", none+": no store there: check the directory's name", cmd, "--data", none)
	}
	if _, err := os.Stat(none); !os.IsNotExist(err) {
		t.Errorf("%s was made: %v", none, err)
	}
	refuse(readFile(t, exportFile), full+": store is not empty: import into an empty directory", "import", "--data", full)
	refuse("", "nofile", "import", "--data", none, "nofile")
	cut := readFile(t, exportFile)
	refuse(cut[:len(cut)-20], "import into "+half+": line", "import", "--data", half)
	refuse("", "an import into it did not end", "inspect", "--data", half)
}

// A store belongs to one process at a time.
func TestStoreInUse(t *testing.T) {
	var dir string
	harness.Node(t, func(c *config.Config) { dir = c.Data })
	file := filepath.Join(t.TempDir(), "x.jsonl")
	for _, args := range [][]string{
		{"store", "inspect"}, {"store", "inspect", "--json"}, {"store", "export", file}, {"store", "export"},
		{"store", "import", exportFile}, {"store", "compact"}, {"serve", "-l", "tcp://127.0.0.1:0"},
	} {
		code, out, errs := run(t, nil, append(args, "--data", dir)...)
		if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 ||
			!strings.Contains(errs, dir+": directory is in use: stop the process that uses it or choose another directory") {
			t.Errorf("%v: code %d, out %q\n%s", args, code, out, errs)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("%s was made: %v", file, err)
	}
}

// A node whose store cannot be opened says which directory it is and what to do,
// and begins nothing.
func TestServeOnABrokenStore(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
	}{
		{"newer", newer, "format is newer than this version knows: it has format 99, known is 1; run the version that wrote it, or a later one"},
		{"damaged", damage, "store is damaged: restore the directory from a backup, or move it away to begin with an empty one; nothing was changed"},
		{"no permission", forbid, "no permission: give the user of the process read and write access to the directory and all files in it"},
		{"a file", becomeFile, "mkdir "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := imported(t)
			c.spoil(t, dir)
			for range 2 { // the second start finds what the first one left
				code, out, errs := run(t, nil, "--listen", "tcp://127.0.0.1:0", "--data", dir)
				if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "skein: start: open store: ") ||
					!strings.Contains(errs, "disk store "+dir+": "+c.want) {
					t.Errorf("code %d, out %q\n%s", code, out, errs)
				}
			}
		})
	}
}

// newer makes the store one of a later version.
func newer(t *testing.T, dir string) {
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatValueSeparation, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("F"), []byte{99}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// quiet takes what pebble logs.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) { panic("pebble gave up") }

// damage cuts the lists of files.
func damage(t *testing.T, dir string) {
	lists, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("no lists of files: %v", err)
	}
	for _, name := range lists {
		if err := os.WriteFile(name, []byte("garbage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func forbid(t *testing.T, dir string) {
	if os.Getuid() <= 0 {
		t.Skip("the user may do everything, or permissions work in another way here")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Error(err)
		}
	})
}

// becomeFile puts a file where the directory was.
func becomeFile(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
