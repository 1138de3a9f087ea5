package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/perdure/perdure"
	goredis "github.com/redis/go-redis/v9"
)

// forerunner writes sessions as the TypeScript module did that perdure comes
// from: a JSON string each, and a set of ids for each user.
type forerunner struct{ client *goredis.Client }

// forerunnerSession is its JSON.
type forerunnerSession struct {
	ID             string         `json:"id"`
	Data           forerunnerData `json:"data"`
	LastAccessedAt string         `json:"lastAccessedAt"`
}

type forerunnerData struct {
	UserID    string         `json:"userId"`
	Username  string         `json:"username"`
	Roles     []string       `json:"roles"`
	Metadata  map[string]any `json:"metadata,omitempty"`
	CreatedAt string         `json:"createdAt"`
	ExpiresAt string         `json:"expiresAt"`
}

func (f forerunner) create(ctx context.Context, d perdure.Data) error {
	now := time.Now()
	id := uuid.NewString()
	value, err := json.Marshal(forerunnerSession{
		ID: id, LastAccessedAt: isoTime(now),
		Data: forerunnerData{
			UserID: d.UserID, Username: d.Username, Roles: d.Roles, Metadata: d.Metadata,
			CreatedAt: isoTime(now), ExpiresAt: isoTime(now.Add(lifetime)),
		},
	})
	if err != nil {
		return err
	}
	_, err = f.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		index := "mcp:user_sessions:" + d.UserID
		pipe.SetEx(ctx, "mcp:session:"+id, value, lifetime)
		pipe.SAdd(ctx, index, id)
		pipe.Expire(ctx, index, lifetime)
		return nil
	})
	return err
}

// isoTime is a time as JavaScript writes it.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
