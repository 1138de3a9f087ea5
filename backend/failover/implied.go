package failover

import (
	"context"

	"github.com/perdure/perdure"
)

// implied are those of the ends held here that the front store lacks and knows all
// the same: it has lost nothing. A revocation ends in the mirror what that held, but
// in the front store what is stored there, which may have been rotated meanwhile, or
// have run out and been swept. There says of each whether the front store has a record
// under the id.
func (b *Backend) implied(ctx context.Context, front perdure.Backend, held []perdure.Record, there []bool) (map[string]bool, error) {
	implied, now := map[string]bool{}, b.now()
	revoked := map[string][]string{} // by the id of the epoch
	var epochs []string
	for i := range held {
		switch r := &held[i]; {
		case r.Kind != perdure.KindTombstone || r.Born.IsZero():
		case !there[i] && r.Deadline() <= now:
			implied[r.ID] = true
		case r.Reason == perdure.ReasonUserRevoked && r.User != "":
			epoch := perdure.EpochID(r.User)
			if revoked[epoch] == nil {
				epochs = append(epochs, epoch)
			}
			revoked[epoch] = append(revoked[epoch], r.ID)
		}
	}
	if len(epochs) == 0 {
		return implied, nil
	}
	stored, err := front.Load(ctx, epochs)
	if _, err = perdure.AsUnreadable(err); err != nil {
		return nil, err
	}
	for i, epoch := range epochs {
		known, err := b.mirror.Get(ctx, epoch)
		if err != nil {
			return nil, err
		}
		if stored[i].Exists() && known.Exists() && !stored[i].Version.Before(known.Version) {
			for _, id := range revoked[epoch] {
				implied[id] = true
			}
		}
	}
	return implied, nil
}
