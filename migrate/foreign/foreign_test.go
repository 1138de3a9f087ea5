package foreign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/foreign"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
	migrateforeign "github.com/perdure/perdure/migrate/foreign"
)

func target(t *testing.T) (*perdure.Store, perdure.Backend) {
	t.Helper()
	backend, err := local.Open(local.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, backend
}

func source(t *testing.T, url string, layout foreign.Layout) *migrateforeign.Redis {
	t.Helper()
	client, err := redis.Dial(t.Context(), redis.Options{URL: url, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r, err := migrateforeign.NewRedis(t.Context(), client, migrateforeign.Options{Layout: layout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// set writes a key on whichever server has its slot.
func set(t *testing.T, servers []*redistest.Server, command ...string) {
	t.Helper()
	var errs []error
	for _, s := range servers {
		_, err := s.Do(command...)
		if err == nil {
			return
		}
		errs = append(errs, err)
	}
	t.Fatal(errors.Join(errs...))
}

const iso = "2006-01-02T15:04:05.000Z"

// forerunner is a session as puppeteer-mcp writes it.
func forerunner(id, user string, created, accessed, expires time.Time) string {
	return fmt.Sprintf(`{"id":%q,"data":{"userId":%q,"username":"john_doe","roles":["user","a:b"],"metadata":{"ip":"::1","n":9007199254740993},"createdAt":%q,"expiresAt":%q},"lastAccessedAt":%q}`,
		id, user, created.UTC().Format(iso), expires.UTC().Format(iso), accessed.UTC().Format(iso))
}

// TestPuppeteer moves the forerunner's sessions from a single server and from a
// Cluster: each with its id, times and all, and what is none is listed.
func TestPuppeteer(t *testing.T) {
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	single := redistest.Start(t, redistest.Options{Password: "secret"})
	for name, c := range map[string]struct {
		url     string
		servers []*redistest.Server
	}{"single": {single.URL(), []*redistest.Server{single}}, "cluster": {cluster.URL(), cluster.Nodes()}} {
		t.Run(name, func(t *testing.T) {
			now := time.Now().Truncate(time.Millisecond)
			created, accessed, expires := now.Add(-time.Hour), now.Add(-time.Minute), now.Add(5*time.Hour)
			const n = 50
			id := func(i int) string { return fmt.Sprintf("9b1deb4d-3b7d-4bad-9bdd-%012d", i) }
			for i := range n {
				set(t, c.servers, "SET", "mcp:session:"+id(i), forerunner(id(i), fmt.Sprint("user:", i/2), created, accessed, expires), "PX", "18000000")
				set(t, c.servers, "SADD", fmt.Sprint("mcp:user_sessions:user:", i/2), id(i))
			}
			set(t, c.servers, "SET", "mcp:session:"+id(n), forerunner(id(n), "old", created, accessed, now.Add(-time.Second)))
			set(t, c.servers, "SET", "mcp:session:broken-json-000000", `{"hunter2`)
			set(t, c.servers, "SADD", "mcp:session:not-a-string-0000", "x")
			set(t, c.servers, "SET", "mcp:session:short", forerunner("short", "u", created, accessed, expires))
			set(t, c.servers, "SET", "other:session:"+id(n+1), forerunner(id(n+1), "u", created, accessed, expires))
			from := source(t, c.url, foreign.Puppeteer{Prefix: "mcp:"})
			store, backend := target(t)
			result, err := migrate.Run(t.Context(), from, backend, migrate.Options{Reading: migrate.Reading{BatchSize: 7}})
			if !errors.Is(err, migrate.ErrIncomplete) || result.Migrated != n || result.Failed != 3 || result.Expired != 1 || len(result.Errors) != 3 {
				t.Fatalf("%v: %+v", err, result)
			}
			if text := fmt.Sprint(result.Errors); strings.Contains(text, "hunter2") || !strings.Contains(text, "not JSON") || !strings.Contains(text, "not a string") || !strings.Contains(text, "5 bytes") {
				t.Errorf("the reasons are %s", text)
			}
			for i := range n {
				got, err := store.Get(t.Context(), id(i))
				digits, _ := got.Metadata.Raw("n")
				if err != nil || got.UserID != fmt.Sprint("user:", i/2) || got.Username != "john_doe" || !slices.Equal(got.Roles, []string{"user", "a:b"}) ||
					!got.CreatedAt.Equal(created) || !got.LastAccessedAt.Equal(accessed) || !got.ExpiresAt.Equal(expires) || string(digits) != "9007199254740993" {
					t.Fatalf("%+v, %v", got, err)
				}
			}
			if byUser, err := store.GetByUserID(t.Context(), "user:3"); err != nil || len(byUser) != 2 {
				t.Errorf("of a user: %v, %v", byUser, err)
			}
			report, err := migrate.Verify(t.Context(), from, backend, migrate.VerifyOptions{})
			if !errors.Is(err, migrate.ErrDiffers) || len(report.Found) != 0 || report.Refused != 3 || report.Checked != n || report.Reverse != n {
				t.Errorf("%v: %+v", err, report)
			}
		})
	}
}

// TestConnectRedis: sessions of express-session, with and without a user, end when
// their key does.
func TestConnectRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	now := time.Now()
	in := func(d time.Duration) string { return now.Add(d).UTC().Format(iso) }
	key := map[string]string{
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": fmt.Sprintf(`{"cookie":{"originalMaxAge":3600000,"expires":%q,"httpOnly":true,"path":"/"},"userId":"ada","user":{"name":"Ada","roles":["x"]},"cart":[1,2]}`, in(time.Hour)),
		"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb": fmt.Sprintf(`{"cookie":{"originalMaxAge":3600000,"expires":%q},"passport":{"user":4711}}`, in(10*time.Minute)),
		"cccccccccccccccccccccccccccccccc": `{"cookie":{"originalMaxAge":null,"expires":null,"path":"/"},"csrf":"x"}`,
	}
	for id, value := range key {
		set(t, []*redistest.Server{server}, "SET", "sess:"+id, value, "PXAT", fmt.Sprint(now.Add(2*time.Hour).UnixMilli()))
	}
	set(t, []*redistest.Server{server}, "SET", "sess:nooneendsitnooneendsit", key["cccccccccccccccccccccccccccccccc"])
	set(t, []*redistest.Server{server}, "SET", "sess:nosessionnosession", `{"user":{}}`)
	set(t, []*redistest.Server{server}, "SET", "sess:notevenanobject0", `[1]`)
	store, backend := target(t)
	from := source(t, server.URL(), foreign.ConnectRedis{})
	result, err := migrate.Run(t.Context(), from, backend, migrate.Options{})
	if !errors.Is(err, migrate.ErrIncomplete) || result.Migrated != 3 || result.Failed != 3 {
		t.Fatalf("%v: %+v", err, result)
	}
	for id, user := range map[string]string{"a": "ada", "b": "4711", "c": "anonymous:"} {
		id = strings.Repeat(id, 32)
		got, err := store.Get(t.Context(), id)
		if err != nil || !strings.HasPrefix(got.UserID, user) || got.ExpiresAt.UnixMilli() != now.Add(2*time.Hour).UnixMilli() || got.CreatedAt.After(now) {
			t.Errorf("%+v, %v", got, err)
		}
		var was map[string]any
		if err := json.Unmarshal([]byte(key[id]), &was); err != nil {
			t.Fatal(err)
		}
		if is, err := got.Metadata.Map(); err != nil || fmt.Sprint(is) != fmt.Sprint(was) {
			t.Errorf("%v is now %v, %v", was, is, err)
		}
	}
	if got, _ := store.Get(t.Context(), strings.Repeat("a", 32)); got.Username != "Ada" || !slices.Equal(got.Roles, []string{"x"}) || got.CreatedAt.UnixMilli() != now.UnixMilli() {
		t.Errorf("%+v", got)
	}
	if report, _ := migrate.Verify(t.Context(), from, backend, migrate.VerifyOptions{}); len(report.Found) != 0 || report.Checked != 3 {
		t.Errorf("%+v", report)
	}
	lenient := source(t, server.URL(), foreign.ConnectRedis{TTL: time.Hour, User: "csrf"})
	if result, _ := migrate.Run(t.Context(), lenient, backend, migrate.Options{}); result.Migrated != 4 {
		t.Errorf("%+v", result)
	}
	if got, err := store.Get(t.Context(), "nooneendsitnooneendsit"); err != nil || got.UserID != "x" || got.ExpiresAt.After(time.Now().Add(time.Hour)) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCursorOfAnotherRun: a cursor that a server gave before its restart means
// nothing to it now, and nothing is left out.
func TestCursorOfAnotherRun(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Persist: true})
	now := time.Now()
	for i := range 300 {
		id := fmt.Sprintf("9b1deb4d-3b7d-4bad-9bdd-%012d", i)
		set(t, []*redistest.Server{server}, "SET", "puppeteer-mcp:session:"+id, forerunner(id, "u", now, now, now.Add(time.Hour)))
	}
	page, err := source(t, server.URL(), foreign.Puppeteer{}).Read(t.Context(), 0, "", 10)
	if err != nil || page.Next == "" {
		t.Fatal(page, err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	from := source(t, server.URL(), foreign.Puppeteer{})
	found := map[string]bool{}
	for cursor, pages := page.Next, 0; cursor != ""; pages++ {
		page, err := from.Read(t.Context(), 0, cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			found[r.ID] = true
		}
		cursor = page.Next
	}
	if len(found) != 300 {
		t.Errorf("%d of 300 sessions after a restart", len(found))
	}
	for _, cursor := range []string{"x", "x.", "x.y", ".-1"} {
		if _, err := from.Read(t.Context(), 0, cursor, 10); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%q: %v", cursor, err)
		}
	}
	if _, err := from.Read(t.Context(), 1, "", 10); !errors.Is(err, perdure.ErrInvalid) {
		t.Error(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Read(t.Context(), 0, "", 10); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("without its server: %v", err)
	}
}

// TestOldServer: where the server cannot say when a key ends, no life is
// lengthened.
func TestOldServer(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	if _, err := server.Do("ACL", "SETUSER", "default", "-pexpiretime"); err != nil {
		t.Logf("an old server indeed: %v", err)
	}
	end := time.Now().Add(time.Hour)
	set(t, []*redistest.Server{server}, "SET", "sess:aaaaaaaaaaaaaaaaaaaa", `{"cookie":{}}`, "PXAT", strconv.FormatInt(end.UnixMilli(), 10))
	store, backend := target(t)
	if _, err := migrate.Run(t.Context(), source(t, server.URL(), foreign.ConnectRedis{}), backend, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	got, err := store.Get(t.Context(), "aaaaaaaaaaaaaaaaaaaa")
	if err != nil || got.ExpiresAt.UnixMilli() > end.UnixMilli() || got.ExpiresAt.Before(end.Add(-time.Minute)) {
		t.Errorf("it ends at %v, and should at %v: %v", got.ExpiresAt, end, err)
	}
}

// TestHorizon: sessions can be extended as far as the source is told, and never
// less far than they live already.
func TestHorizon(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	const id = "9b1deb4d-3b7d-4bad-9bdd-000000000000"
	now := time.Now().Truncate(time.Millisecond)
	created, expires := now.Add(-time.Hour), now.Add(5*time.Hour)
	set(t, []*redistest.Server{server}, "SET", "puppeteer-mcp:session:"+id, forerunner(id, "u", created, now, expires))
	from := source(t, server.URL(), foreign.Puppeteer{})
	for horizon, want := range map[time.Duration]time.Time{0: created.AddDate(0, 0, 7), 30 * 24 * time.Hour: created.AddDate(0, 0, 30), time.Hour: expires} {
		from.Horizon = horizon
		records, err := from.Load(t.Context(), []string{id})
		if err != nil || !records[0].Horizon.Time().Equal(want) {
			t.Errorf("with %v it is %v, and should be %v: %v", horizon, records[0].Horizon.Time(), want, err)
		}
	}
}
