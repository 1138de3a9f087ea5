package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure/factory"
)

// topics are help texts that are not about one verb.
func topics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "environment", Short: "The settings", Long: environmentText()},
		{Use: "stores", Short: "The addresses of stores", Long: storesText},
		{Use: "json", Short: "What --json prints", Long: jsonText},
		{Use: "exit-codes", Short: "The exit codes", Long: exitText},
	}
}

func environmentText() string {
	var b strings.Builder
	b.WriteString(`All settings come from environment variables. One that is set to nothing counts
as not set. A duration is a number of seconds, or as in "1.5s", "30m" and "24h";
a size is a number of bytes, or as in "64KiB" and "1GiB".

`)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDEFAULT\tPURPOSE")
	for _, v := range factory.Variables() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, v.Default, v.Purpose)
	}
	w.Flush() // into memory: it cannot fail
	return b.String()
}

const storesText = `The address of a store, for --store, --from and --to:

  redis://user:password@host:port/database
                         Redis or Valkey; commas between the hosts of a Cluster,
                         ?master_name= for Sentinel, ?prefix= for another key
                         prefix than REDIS_KEY_PREFIX
  rediss://…             the same with TLS; valkey:// and valkeys:// are the same two
  unix:///path?db=0      Redis or Valkey behind a socket
  file:<data directory>  the embedded store. While a daemon holds it, the verbs go
                         through that daemon's admin port, PERDURE_ADMIN_LISTEN
  http://host:port       a running daemon: its admin port, whatever its store is;
                         for get, list and revoke the port of its sessions

And for --from of a migration, what other products keep in Redis, which is only
read:

  puppeteer-mcp+redis://host:port/database
                         puppeteer-mcp; ?prefix= for another REDIS_KEY_PREFIX than
                         puppeteer-mcp:
  connect-redis+redis://host:port/database
                         express-session with connect-redis; ?prefix= for another
                         prefix than sess:, ?user= for where the user id is, as in
                         passport.user, ?ttl= for the life of sessions without end

A password in a flag can be seen by other users of the machine and stays in the
history of the shell. Put the address on the first line of a file, and give @FILE
in its place; or into REDIS_URL, or a file that REDIS_URL_FILE names, and leave
--store out.`

const jsonText = `With --json each verb prints, on stdout and in UTF-8:

  get      the session: {"id","userId","username","roles","metadata","createdAt",
           "expiresAt","lastAccessedAt","version"}; times are RFC 3339
  list     one session a line, as get; nothing where there is none
  revoke   {"revoked": number}
  stats    {"backend","sessions","tombstones","bytes","maxBytes","feedLength",
           "details"}
  doctor   {"store","kind","why","findings":[{"severity","name","found",
           "advice"}]}, the worst first; severity is error, warning, info or ok
  backup   {"header","footer","bytes"}: where the backup began, and what is in it
  restore  {"file","dryRun","restored","unchanged","leftDead","expired",
           "tombstones","failed","failures":[{"id","line","reason"}],
           "tookSeconds"}
  archive  {"format","size","encrypted","recipients","header","footer","found",
           "refused","refusals","loss"}
  migrate plan
           {"from","to","sessions","expired","tombstones","bytes","held","refused",
           "errors":[{"id","reason"}],"life":[{"below","sessions"}],"seconds",
           "estimateSeconds"}
  migrate run
           {"from","to","total","migrated","skipped","ended","failed","conflicts",
           "expired","tombstones","deleted","bytes","seconds","errors"}; with --live
           also "rounds" and "pauseSeconds"
  migrate verify
           {"from","to","same","checked","tombstones","reverse","found":{kind:
           number},"differences":[{"id","kind","detail"}],"refused","seconds"}
  switch   {"from","to","migrated","ended","rounds","pauseSeconds"}
  serve    {"version","listen","kind","store","why","state","admin"}, once it
           listens
  version  {"version","revision","time","modified","go"}

Fields may be added, and are not taken away. Errors go to stderr as text; the
exit code says which kind they are.`

const exitText = `  0    done; also for a serve that was told to stop and did
  1    failed, or doctor found an error
  2    the command line, the configuration or the input is wrong
  3    partly done
  4    not allowed
  5    there is no such session
  6    another writer came first, or the id is taken
  7    a verification failed: a file that cannot be restored as it is
  130  interrupted before it was done`
