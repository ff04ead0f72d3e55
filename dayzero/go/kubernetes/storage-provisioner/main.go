// storage-provisioner makes the volumes of minikube's StorageClass `standard`: folders of the node. minikube's own asks
// for a kind of leader lock that Kubernetes' client does not have any more; one node needs no leader.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v6/controller"
)

const (
	// The name by which the StorageClass asks for this program.
	name = "k8s.io/minikube-hostpath"
	// Where minikube keeps volumes, so that they are still found when its own program takes over.
	root = "/tmp/hostpath-provisioner"
)

type folders struct{}

func (folders) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	folder := filepath.Join(root, claim.Namespace, claim.Name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// Whoever runs in the pod may write; the mode given to MkdirAll is narrowed by the umask.
	if err := os.Chmod(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: folder}},
		},
	}
	return volume, controller.ProvisioningFinished, nil
}

func (folders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	source := volume.Spec.HostPath
	if source == nil || !strings.HasPrefix(filepath.Clean(source.Path), root+"/") {
		return &controller.IgnoredError{Reason: "its folder is not below " + root}
	}
	return os.RemoveAll(source.Path)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "storage-provisioner:", err)
		os.Exit(1)
	}
}

func run() error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	// On a node that starts, Services lead nowhere yet, and whoever ends then is kept waiting ever longer.
	version, err := client.Discovery().ServerVersion()
	for attempt := 0; err != nil && attempt < 150; attempt++ {
		time.Sleep(2 * time.Second)
		version, err = client.Discovery().ServerVersion()
	}
	if err != nil {
		return err
	}
	leaderless := controller.LeaderElection(false)
	controller.NewProvisionController(client, name, folders{}, version.GitVersion, leaderless).Run(context.Background())
	return nil
}
