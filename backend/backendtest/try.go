package backendtest

import (
	"fmt"

	"github.com/perdure/perdure"
)

// The functions here can be called from any goroutine: they return errors.

// mustApply carries out one batch that nothing stands in the way of; it can be
// called from any goroutine.
func mustApply(r *rig, b perdure.Backend, writes ...perdure.Write) error {
	result, err := tryApply(r, b, writes...)
	if err == nil && result.Outcome != perdure.Applied {
		err = fmt.Errorf("%s: not applied: %s", showBatch(writes), showResult(result))
	}
	return err
}

// tryApply carries out one batch; it can be called from any goroutine.
func tryApply(r *rig, b perdure.Backend, writes ...perdure.Write) (perdure.Result, error) {
	results, err := b.Apply(r.ctx, []perdure.Batch{writes})
	if err != nil {
		return perdure.Result{}, err
	}
	if len(results) != 1 {
		return perdure.Result{}, fmt.Errorf("one batch has %d results", len(results))
	}
	return results[0], results[0].Err
}
